"""Proposes the section ``gitlab`` from tokens in the environment, the settings of ``glab``, and the remotes of the checkout.

https://docs.gitlab.com/cli/, https://docs.gitlab.com/ci/variables/predefined_variables/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scanner.machine import ProposedSection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.machine import Machine

_TOKENS = ("GITLAB_TOKEN", "GITLAB_ACCESS_TOKEN", "GL_TOKEN")
_NOTE = "A group or service account token with the scope read_api; `sprawlscan permissions gitlab` says which role it needs."


def first_sections(machine: Machine) -> Iterator[ProposedSection]:
    """Yield a section for each instance that a token, a job, ``glab`` or a remote is for."""
    shown = machine.mapping(machine.path("GLAB_CONFIG_DIR", ".config/glab-cli") / "config.yml").get("hosts")
    signed_in = {
        str(host).lower()
        for host, settings in (shown.items() if isinstance(shown, dict) else ())
        if isinstance(settings, dict) and (settings.get("token") or settings.get("user"))
    }
    of_job = urlsplit(machine.value("CI_SERVER_URL") or "").hostname
    asked = machine.value("GITLAB_HOST", "GITLAB_URI") or ""
    chosen = of_job or urlsplit(asked if "//" in asked else f"//{asked}").hostname
    remotes = [host for host, _ in machine.remotes if "gitlab" in host or host in signed_in]
    variable = machine.variable(*_TOKENS)
    seen = dict.fromkeys([*([chosen] if chosen else []), *sorted(signed_in), *remotes])
    if variable and not seen:
        seen = {"gitlab.com": None}
    for host in seen:
        where = (
            f"the environment variable {variable}" if variable
            else f"a sign-in of glab to {host}" if host in signed_in
            else f"a job of {host}" if host == of_job else f"a remote on {host}"
        )  # fmt: skip
        groups = sorted({path.strip("/").split("/")[0] for remote, path in machine.remotes if remote == host})
        root = machine.value("CI_PROJECT_ROOT_NAMESPACE") if host == of_job else None
        section: dict[str, Any] = {"groups": [root]} if root else {"groups": groups} if groups else {}
        if host != "gitlab.com":
            section["base_url"] = f"https://{host}"
        section["token"] = f"${{env:{variable or _TOKENS[0]}}}"
        yield ProposedSection(
            found=where,
            section=section,
            notes={"token": _NOTE, "groups": "Full paths; without this key, every top-level group that the token can list."},
            first=None if variable else f"Set the token: export {_TOKENS[0]}=..., with a token of its own. A job's CI_JOB_TOKEN cannot list groups.",
        )  # fmt: skip
