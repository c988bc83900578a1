"""``include`` statements of a GitLab pipeline: https://docs.gitlab.com/ci/yaml/#include."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import msgspec

from collectors.definitions.definition import Use
from collectors.definitions.yaml_nodes import Mapping, Scalar, items, mapping, text, texts
from scanner.secrets.redact import redact

if TYPE_CHECKING:
    from collectors.definitions.builder import DefinitionBuilder
    from collectors.definitions.definition import Pin
    from collectors.definitions.yaml_nodes import Node

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_VERSION = re.compile(r"v?\d[\w.+-]*")
_REMOTE = re.compile(r"https?://", re.IGNORECASE)


class Include(msgspec.Struct, frozen=True, kw_only=True):
    """One statement."""

    kind: Literal["local", "project", "remote", "template", "component", "artifact"]
    name: str
    """A path, the full path of a project, a URL, a component without its version, or the job of an artifact."""
    files: list[str] = []
    """Paths within the project."""
    ref: str | None = None
    pin: Pin = "local"
    inputs: Mapping = msgspec.field(default_factory=lambda: mapping(None))
    conditional: bool = False
    """Whether its rules have conditions."""
    never: bool = False
    """Whether its rules always exclude it."""
    address: Scalar | None = None
    """URL of a remote file, which may contain a secret."""
    line: int

    @property
    def shown(self) -> str:
        """The included file, for messages; a URL without parts that may be secret."""
        return without_secrets(self.name) if self.kind == "remote" else self.name


def includes_of(node: Node | None) -> list[Include]:
    """Parse ``include:`` of a configuration or of a job's ``trigger:``."""
    read = (_include(item) for item in items(node))
    return [include for include in read if include is not None]


def _include(item: Node) -> Include | None:
    settings, short = mapping(item), text(item)
    rules = [mapping(rule) for rule in items(settings.get("rules"))]
    include = Include(
        kind="local",
        name=text(settings.get("local")) or short or "",
        inputs=mapping(settings.get("inputs")),
        conditional=any({key.text for key, _ in rule.pairs} - {"when"} for rule in rules),
        never=bool(rules) and all(text(rule.get("when")) == "never" for rule in rules),
        line=item.line,
    )
    address = item if short is not None and _REMOTE.match(short) else settings.get("remote")
    if (name := text(settings.get("project"))) is not None:
        ref = text(settings.get("ref"))
        files = texts(settings.get("file"))
        return msgspec.structs.replace(
            include, kind="project", name=name, files=files, ref=ref, pin=pin_of(ref)
        )
    if (name := text(settings.get("component"))) is not None:
        name, _, version = name.partition("@")
        ref = version or None
        return msgspec.structs.replace(include, kind="component", name=name, ref=ref, pin=pin_of(ref))
    if isinstance(address, Scalar) and (name := text(address)) is not None:
        pin: Pin = "sha" if settings.get("integrity") is not None else "none"
        return msgspec.structs.replace(include, kind="remote", name=name, address=address, pin=pin)
    if (name := text(settings.get("template"))) is not None:
        return msgspec.structs.replace(include, kind="template", name=name)
    if text(settings.get("artifact")) is not None:
        return msgspec.structs.replace(include, kind="artifact", name=text(settings.get("job")) or "a job")
    return include if include.name else None


def pin_of(ref: str | None) -> Pin:
    """Return how a ref is pinned."""
    if ref is None:
        return "none"
    if "$" in ref:
        return "expression"
    if _SHA.fullmatch(ref):
        return "sha"
    return "tag" if _VERSION.fullmatch(ref) else "branch"


def note(out: DefinitionBuilder, include: Include, owner: str | None) -> None:
    """Record the third-party code that a statement includes, and whether others can change it."""
    name, ref, pin = include.shown, include.ref, include.pin
    match include.kind:
        case "artifact":
            return
        case "project":
            third_party = name.split("/", 1)[0] != owner
        case "component":
            third_party = not ("$CI_SERVER_FQDN" in name and owner is not None and f"/{owner}/" in name)
        case _:
            third_party = include.kind == "remote"
    kind: Literal["include", "component"] = "component" if include.kind == "component" else "include"
    line = include.line
    out.uses.append(Use(kind=kind, name=name, ref=ref, pin=pin, third_party=third_party, line=line))
    out.values(include.inputs, None)
    if include.address is not None:
        out.value("include", include.address, None)
    if pin in {"none", "branch", "tag"}:
        out.problem(
            "unpinned-include",
            line,
            f"includes {name}{'@' + ref if ref else ''} {'without a version' if pin == 'none' else 'by ' + pin}: its owner can change this pipeline",
            severity="high" if third_party and pin != "tag" else "low",
            fix="Pin the include to a full commit SHA (`ref:`), or set `integrity:` for a remote file.",
        )


def without_secrets(address: str) -> str:
    """Return a URL without user, password and query values."""
    bare = re.sub(r"(?<=://)[^/@\s]*@", "", address)
    bare = re.sub(r"(?<==)[^&#\s`'\"]+", "...", bare) if "?" in bare else bare
    return redact(bare)


def matches(written: str, text: str, *, computed: bool = False) -> bool:
    """Return whether a path with wildcards can match another: ``*`` within a folder, ``**`` across folders. With
    ``computed``, a CI variable matches anything. Does not use regular expressions, because the path is untrusted.
    https://docs.gitlab.com/ci/yaml/includes/#use-includelocal-with-wildcard-file-paths
    """
    at = {0}
    for part in re.findall(r"\*\*|\*|\$\{?\w+\}?|[^*$]+|\$", written):
        if part == "**" or (computed and part.startswith("$") and part != "$"):
            at = set(range(min(at), len(text) + 1))
        elif part == "*":
            reached: set[int] = set()
            for start in at:
                end = start
                while end not in reached:
                    reached.add(end)
                    if end < len(text) and text[end] != "/":
                        end += 1
            at = reached
        else:
            at = {start + len(part) for start in at if text.startswith(part, start)}
        if not at:
            return False
    return len(text) in at
