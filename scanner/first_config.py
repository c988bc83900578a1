"""Writes a first config.yaml: what each collector proposes for this machine, tried, with comments."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from scanner.config_file import ConfigError, load
from scanner.document import DocumentError
from scanner.plugins import collector_names, load_collector
from scanner.readiness import missing_packages, unready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scanner.machine import Machine, ProposedSection

    Confirm = Callable[[str], bool]
    """Asks a question that is answered by yes or no."""
    Name = Callable[[str], list[str]]
    """Asks for names; an empty list if nobody knows."""

HEAD = """\
# Written by `sprawlscan init`. It contains no secrets, only references: ${env:NAME} or ${file:/path}.
# `sprawlscan check-config` validates it, `sprawlscan doctor` tries every credential and permission,
# `sprawlscan example` prints every option, and `sprawlscan permissions NAME` what a collector needs.
"""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal for a collector, and whether it is written as a section or as a comment."""

    collector: str
    proposal: ProposedSection
    ready: bool


def proposals(machine: Machine) -> Iterator[tuple[str, ProposedSection]]:
    """Yield what every collector proposes. A collector without ``first_sections`` proposes nothing."""
    for name in collector_names():
        propose = getattr(load_collector(name), "first_sections", None)
        for one in propose(machine) if propose else ():
            yield name, one


def choose(machine: Machine, confirm: Confirm, name: Name) -> list[Chosen]:
    """Return the first proposal of each collector that is wanted, tried without network requests."""
    chosen: dict[str, Chosen] = {}
    for collector, proposed in proposals(machine):
        if collector in chosen or not confirm(f"{collector}: {proposed.found}. Use it?"):
            continue
        chosen[collector] = _tried(collector, _named(proposed, name))
    return list(chosen.values())


def _named(proposal: ProposedSection, name: Name) -> ProposedSection:
    """Add what only the user knows."""
    if proposal.asks is None or proposal.section.get(proposal.asks):
        return proposal
    given = name(f"Which {proposal.asks.replace('_', ' ')}? (names, separated by commas)")
    if given:
        return msgspec.structs.replace(
            proposal, section={**proposal.section, proposal.asks: given}, asks=None
        )
    example = {**proposal.section, proposal.asks: ["your-name-here"]}
    return msgspec.structs.replace(
        proposal,
        section=example,
        first=" ".join(filter(None, [f"Name the {proposal.asks}.", proposal.first])),
    )


def _tried(collector: str, proposal: ProposedSection) -> Chosen:
    """Validate one section alone. What does not work becomes a comment that says why."""
    if proposal.first is not None:
        return Chosen(collector=collector, proposal=proposal, ready=False)
    missing = missing_packages(collector)
    if missing:
        what = f"Install what it needs: pip install 'sprawlscan[{collector}]'"
        return Chosen(
            collector=collector, proposal=msgspec.structs.replace(proposal, first=what), ready=False
        )
    with TemporaryDirectory(prefix="sprawlscan-init-") as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump({"collectors": {collector: proposal.section}}), encoding="utf-8")
        try:
            problems = unready(load(path), everything=True)
        except (ConfigError, DocumentError) as exc:
            problems = str(exc).splitlines()
        problems = [line.replace(f"{path}:", "line ") for line in problems]
    if problems:
        return Chosen(
            collector=collector,
            proposal=msgspec.structs.replace(proposal, first="; ".join(problems)),
            ready=False,
        )
    return Chosen(collector=collector, proposal=proposal, ready=True)


def config_text(machine: Machine, chosen: list[Chosen]) -> str:
    """Return the text of config.yaml. If no section can work yet, it scans the current folder's pipeline definitions."""
    lines = [HEAD]
    if machine.checkout is not None:
        kept = machine.shown(machine.path("XDG_STATE_HOME", ".local/state") / "sprawlscan")
        lines += [
            "# Snapshots, history and reports; outside this checkout, so that nobody commits them.",
            f"state: {kept}",
        ]
    lines.append("collectors:")
    if not any(one.ready for one in chosen):
        lines += [
            "  # Nothing else can be read yet, so this reads the pipeline definitions in a folder.",
            "  definitions:",
            f"    paths: [{yaml.safe_dump(str(machine.folder), default_style=chr(34)).strip()}]",
        ]
    for one in sorted(chosen, key=lambda one: not one.ready):
        lines += _section(one)
    clusters = clusters_of(machine)
    if clusters:
        lines.append(
            f"  # Clusters in the kubeconfig of this machine, which no collector reads yet: {', '.join(clusters)}."
        )
    return "\n".join(lines) + "\n"


def clusters_of(machine: Machine) -> list[str]:
    """Return the contexts of the kubeconfig. https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/"""
    first = (machine.value("KUBECONFIG") or "").split(":")[0]
    listed = machine.mapping(machine.home / (first or ".kube/config")).get("contexts")
    rows = listed if isinstance(listed, list) else []
    return sorted({_comment(str(row.get("name"))) for row in rows if isinstance(row, dict)})


def _section(one: Chosen) -> Iterator[str]:
    proposal = one.proposal
    yield f"  # Found: {_comment(proposal.found)}."
    if proposal.first is not None:
        yield f"  # Before you remove the `#`: {_comment(proposal.first)}"
    mark = "  " if one.ready else "  # "
    yield f"{mark}{one.collector}:{'' if proposal.section else ' {}'}"
    for key, value in proposal.section.items():
        if key in proposal.notes:
            yield f"{mark}  # {_comment(proposal.notes[key])}"
        yield f"{mark}  {key}: {_value(value)}"
    for key, note in proposal.notes.items():
        if key not in proposal.section:
            yield f"{mark}  # {_comment(note)}"


def _comment(text: str) -> str:
    return " ".join(text.split())


def _value(value: Any) -> str:
    """Return a value on one line of YAML."""
    shown = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return str(shown).removesuffix("\n").removesuffix("\n...")
