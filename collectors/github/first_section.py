"""Proposes the section ``github`` from tokens in the environment, the settings of ``gh``, and the remotes of the checkout.

https://cli.github.com/manual/gh_help_environment,
https://docs.github.com/en/actions/reference/workflows-and-actions/variables
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scanner.machine import ProposedSection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.machine import Machine

_PUBLIC = "github.com"
_TOKENS = ("GH_TOKEN", "GITHUB_TOKEN")
_SERVER_TOKENS = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
_NOTE = "An App is better than a person's token: `sprawlscan permissions github` prints what it needs."


def first_sections(machine: Machine) -> Iterator[ProposedSection]:
    """Yield a section for each host that a token, ``gh`` or a remote is for."""
    hosts = machine.mapping(machine.path("GH_CONFIG_DIR", ".config/gh") / "hosts.yml")
    of_job = urlsplit(machine.value("GITHUB_SERVER_URL") or "").hostname
    chosen = machine.value("GH_HOST") or of_job
    remotes = [host for host, _ in machine.remotes if host == _PUBLIC or host in hosts]
    seen = dict.fromkeys(str(host).lower() for host in (*([chosen] if chosen else []), *hosts, *remotes))
    if machine.variable(*_TOKENS) and not seen:
        seen = {_PUBLIC: None}
    for host in seen:
        cloud = host == _PUBLIC or host.endswith(".ghe.com")
        # A job's own token is for the server of the job.
        variable = machine.variable(*(_TOKENS if cloud or host == of_job else _SERVER_TOKENS))
        where = f"the environment variable {variable}" if variable else f"a sign-in of gh to {host}" if host in hosts else f"a remote on {host}"  # fmt: skip
        owners = sorted({path.strip("/").split("/")[0] for remote, path in machine.remotes if remote == host})
        owner = machine.value("GITHUB_REPOSITORY_OWNER") if host in {of_job, _PUBLIC} else None
        section: dict[str, Any] = {"organizations": [owner] if owner else owners}
        if host != _PUBLIC:
            section["base_url"] = (
                f"https://api.{host}" if host.endswith(".ghe.com") else f"https://{host}/api/v3"
            )
        used = variable or (_TOKENS if cloud else _SERVER_TOKENS)[0]
        section["token"] = f"${{env:{used}}}"
        command = f"export {used}=$(gh auth token --hostname {host})"
        yield ProposedSection(
            found=where,
            section=section,
            notes={"token": _NOTE, "organizations": "Organizations to read; users are not organizations."},
            first=None if variable else f"Set the token: {command}",
            asks="organizations",
        )
