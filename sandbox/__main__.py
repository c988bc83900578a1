"""``python -m sandbox serve PROVIDER``: starts the sandbox of one provider, so that other clients can use it.

Prints one line of JSON and serves until SIGINT or SIGTERM::

    {"provider": "github", "url": "https://127.0.0.1:40123", "ca_bundle": "/tmp/sandbox-ca-x/ca.pem",
     "config": {...}, "environment": {"SPRAWLSCAN_DEMO_GITHUB_TOKEN": "ghp_..."}}

``config`` is the collector's section of config.yaml, ``environment`` the variables that it references: tokens and keys
of the sandbox. For Kubernetes, ``kubeconfig`` is the path of a kubeconfig: ``KUBECONFIG=... kubectl get pods -A``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import threading
from typing import TYPE_CHECKING

from sandbox.kit.authority import CertificateAuthority
from sandbox.kit.provider import load_package, provider_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.kit.provider import Size


def serve(provider: str, size: Size, variant: str, *, tls: bool) -> None:
    """Serve until a signal arrives. Raises LookupError for an unknown provider or variant."""
    package = load_package(provider)
    if variant and variant not in package.VARIANTS:
        raise LookupError(variant)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with contextlib.ExitStack() as stack:
        authority = stack.enter_context(CertificateAuthority()) if tls else None
        sandbox = stack.enter_context(package.open_sandbox(size, variant, authority=authority))
        sandbox.show(1)
        line = {
            "provider": provider,
            "url": sandbox.url,
            "ca_bundle": None if authority is None else str(authority.bundle),
            "config": sandbox.section(),
            "environment": sandbox.environment(),
            **sandbox.connection(),
        }
        print(json.dumps(line), flush=True)  # noqa: T201  the one line that a script reads
        stopping.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0, or 2 for an unknown provider or variant."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__.partition("\n")[0])
    command = parser.add_subparsers(required=True).add_parser("serve", help="start one provider's sandbox")
    command.add_argument("provider", metavar="PROVIDER", choices=provider_names(), help="%(choices)s")
    command.add_argument("--size", choices=("company", "small"), default="company")
    command.add_argument("--variant", default="", help="how the collector signs in, or an edition")
    command.add_argument("--plain", action="store_true", help="HTTP without TLS")
    given = parser.parse_args(arguments)
    try:
        serve(given.provider, given.size, given.variant, tls=not given.plain)
    except LookupError as exc:
        parser.error(
            f"{given.provider} has no variant {exc}: {', '.join(load_package(given.provider).VARIANTS)}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
