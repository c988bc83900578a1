"""How the scanner signs in to a cluster: by a token, a token file, a client certificate, or a program's token.

https://kubernetes.io/docs/reference/access-authn-authz/authentication/
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.kubernetes.kubeconfig import ClusterAccess, ExecPlugin, Kubeconfig
from scanner.collect.auth import Auth, IssuedToken, NoAuth, TokenAuth
from scanner.collect.failures import SourceError
from scanner.private_files import write_private
from scanner.secrets.configured import remember

if TYPE_CHECKING:
    from collectors.kubernetes.config import Config

POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/"""
_FILE_SECONDS = 600.0
"""How long a token from a file is used before the file is read again: the kubelet renews it within an hour."""
_LARGEST = 2**20
"""The largest output of a program, in bytes."""


def access_of(config: Config, context: str) -> ClusterAccess:
    """Return how to sign in to a target. ``context`` is empty without a kubeconfig. Raises `SourceError`."""
    if config.kubeconfig is not None:
        return Kubeconfig(config.kubeconfig).access(context)
    if config.in_cluster:
        host, port = (
            os.environ.get("KUBERNETES_SERVICE_HOST"),
            os.environ.get("KUBERNETES_SERVICE_PORT", "443"),
        )
        if not host:
            raise SourceError("unreachable", "this is no pod: KUBERNETES_SERVICE_HOST is not set")
        return ClusterAccess(
            name=host,
            server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
            authority_file=POD / "ca.crt",
            token_file=POD / "token",
        )
    return ClusterAccess(name=str(config.url), server=str(config.url))


class ClusterSignIn:
    """One cluster's credential, and the files that the HTTP library needs: they are removed by `close`."""

    def __init__(self, config: Config, access: ClusterAccess, as_of: datetime) -> None:
        """Raises `SourceError` (denied) for a client certificate that has expired or lacks its key."""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.authority: Path | None = access.authority_file or config.ca_bundle
        self.certificate: tuple[str, str] | None = None
        if access.authority is not None:
            self.authority = self._file("ca.pem", access.authority)
        if access.certificate is not None:
            if access.key is None:
                raise SourceError("denied", "the kubeconfig has a client certificate without its key")
            ends = certificate_end(access.certificate)
            if ends is not None and ends <= as_of:
                raise SourceError("denied", f"the client certificate expired on {ends:%Y-%m-%d}")
            pair = self._file("client.pem", access.certificate), self._file("client.key", access.key)
            self.certificate = str(pair[0]), str(pair[1])
        self.auth = _auth(config, access)

    def close(self) -> None:
        """Remove the files."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _file(self, name: str, content: bytes) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="sprawlscan-")
        path = Path(self._folder.name) / name
        write_private(path, content)
        return path


def _auth(config: Config, access: ClusterAccess) -> Auth:
    if config.token is not None:
        token = config.token
        return TokenAuth(lambda: IssuedToken(value=token.read()))
    if access.token_file is not None:
        path = access.token_file
        return TokenAuth(lambda: IssuedToken(value=_token_in(path), seconds=_FILE_SECONDS))
    if access.token is not None:
        value = access.token
        return TokenAuth(lambda: IssuedToken(value=value))
    if access.plugin is not None:
        plugin = access.plugin
        if not config.allow_exec:
            raise SourceError(
                "unsupported",
                f"the kubeconfig runs {os.path.basename(plugin.command)!r} to get a token; set allow_exec to permit it",  # noqa: PTH119
            )
        return TokenAuth(lambda: issued_by(plugin, access.server, config.exec_seconds))
    return NoAuth()


def _token_in(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise SourceError(
            "denied", f"the token file cannot be read: {getattr(exc, 'strerror', 'not text')}"
        ) from None
    if not text:
        raise SourceError("denied", "the token file is empty")
    return text


def certificate_end(pem: bytes) -> datetime | None:
    """Return when the first certificate of a PEM file ends; None if that cannot be read."""
    import ssl

    start, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    first = pem.find(start)
    last = pem.find(end, first)
    if first < 0 or last < 0:
        raise SourceError("malformed", "the client certificate is not PEM")
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(pem[first : last + len(end)] + b"\n")
        file.flush()
        try:
            # The only parser of certificates in the standard library; it takes a file.
            decoded = ssl._ssl._test_decode_cert(file.name)  # type: ignore[attr-defined]  # noqa: SLF001
        except (ssl.SSLError, OSError, ValueError):
            raise SourceError("malformed", "the client certificate cannot be read") from None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(decoded["notAfter"]), UTC)


def issued_by(plugin: ExecPlugin, server: str, seconds: float) -> IssuedToken:
    """Run a program and return the token that it prints. It has a deadline, no terminal and no shell.

    https://kubernetes.io/docs/reference/config-api/client-authentication.v1/. Raises `SourceError`.
    """
    name = os.path.basename(plugin.command)  # noqa: PTH119  a command is no path of ours
    asked = {
        "apiVersion": plugin.api_version,
        "kind": "ExecCredential",
        "spec": {"interactive": False, "cluster": {"server": server}},
    }
    environment = {**os.environ, **plugin.env, "KUBERNETES_EXEC_INFO": json.dumps(asked)}
    try:
        # What runs is what the user's kubeconfig names and allow_exec permits.
        process = subprocess.Popen(
            [plugin.command, *plugin.args],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or "its name or arguments are not valid"
        raise SourceError(
            "unreachable", f"{name!r} of the kubeconfig could not be started: {reason}"
        ) from None
    output = _output(process, seconds)
    if output is None:
        raise SourceError("unreachable", f"{name!r} of the kubeconfig did not end within {seconds:g} s")
    if process.returncode != 0:
        raise SourceError("denied", f"{name!r} of the kubeconfig failed with code {process.returncode}")
    return _printed(name, output)


def _output(process: subprocess.Popen[bytes], seconds: float) -> bytes | None:
    """Return what a program prints, at most `_LARGEST` bytes; None if it takes too long. It and its children are ended."""
    found: list[bytes] = []

    def read() -> None:
        if process.stdout is not None:
            found.append(process.stdout.read(_LARGEST))

    reader = threading.Thread(target=read, daemon=True)
    until = time.monotonic() + seconds
    reader.start()
    reader.join(seconds)
    try:
        if reader.is_alive():
            return None
        process.wait(max(0.1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout is not None and not reader.is_alive():
            process.stdout.close()
    return found[0] if found else b""


def _printed(name: str, output: bytes) -> IssuedToken:
    try:
        status = json.loads(output)["status"]
        token = status["token"]
        expires = status.get("expirationTimestamp")
        ends = datetime.fromisoformat(expires) if expires else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise SourceError(
            "malformed", f"{name!r} of the kubeconfig printed no ExecCredential with a token"
        ) from None
    if not isinstance(token, str) or not token:
        raise SourceError("unsupported", f"{name!r} of the kubeconfig printed a credential that is no token")
    remember(token)
    seconds = None if ends is None else max(1.0, ends.timestamp() - time.time())
    return IssuedToken(value=token, seconds=seconds)
