"""Proposes the section ``aws`` from what the AWS tools of this machine use.

https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.machine import ProposedSection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.machine import Machine

_OF_PLATFORM = {
    "AWS_WEB_IDENTITY_TOKEN_FILE": "a workload identity (AWS_WEB_IDENTITY_TOKEN_FILE)",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "the role of this container",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "the role of this container or pod",
    "AWS_ACCESS_KEY_ID": "credentials in the environment (AWS_ACCESS_KEY_ID)",
}
_NOTES = {
    "regions": "Regions to read; without this key, every region that the account has enabled.",
    "organization": "To read every account of the organization: organization: true, and the role of `sprawlscan permissions aws` in each.",
}


def first_sections(machine: Machine) -> Iterator[ProposedSection]:
    """Yield the credentials that the AWS tools would use here, best first."""
    path = machine.path("AWS_CONFIG_FILE", ".aws/config")
    settings = {
        name.removeprefix("profile ").strip(): section for name, section in machine.ini(path).items()
        if name == "default" or name.startswith("profile ")
    }  # fmt: skip
    keys = machine.path("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")
    named = {**dict.fromkeys(machine.ini(keys), ""), **dict.fromkeys(settings, "")}
    region = machine.value("AWS_REGION", "AWS_DEFAULT_REGION")
    variable = machine.variable(*_OF_PLATFORM)
    if variable is not None and machine.value("AWS_PROFILE") is None:
        yield ProposedSection(found=_OF_PLATFORM[variable], section=_regions(region), notes=_NOTES)
    first = machine.value("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
    for name in sorted(named, key=lambda name: (name != first, name != "default", name)):
        others = ", ".join(sorted(set(named) - {name}))
        notes = {
            **_NOTES,
            **({"profile": f"Other profiles here: {others}. A list of sections reads several."} if others else {}),
        }  # fmt: skip
        where = machine.shown(path if name in settings else keys)
        used = region or settings.get(name, {}).get("region")
        yield ProposedSection(
            found=f"the profile `{name}` in {where}",
            section={"profile": name, **_regions(used)},
            notes=notes,
        )


def _regions(region: str | None) -> dict[str, Any]:
    return {"regions": [region]} if region else {}
