"""Compares everything in a state folder with its ledger: snapshots, analyses, history and reports.

A file that was changed, cut, removed, added or replaced is a problem, and so is a line of the ledger. What `prune` and
`discard` removed is listed with its tombstone. What an interrupted run left is listed too, and is not a problem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scanner.ledger import Ledger
from scanner.signing import is_signed
from scanner.snapshot import (
    SnapshotError,
    UnknownNightError,
    check_history,
    expected_files,
    is_sealed,
    read_manifest,
    sha256_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from scanner.ledger import NightState


class Verified(NamedTuple):
    """The result of a comparison."""

    lines: list[str]
    """What was compared, one line for each night."""
    problems: list[str]
    """What differs, one line for each file."""


def verify_state(
    state: Path, *, run_id: str | None = None, key: Ed25519PublicKey | None = None, head: str | None = None
) -> Verified:
    """Compare the state with its ledger; only one night if ``run_id`` names it.

    ``key`` must have signed the ledger from its first signed line to its last; ``head`` is the hash of a line that was noted
    earlier and must still be in the ledger. Raises `SnapshotError` if the ledger itself is damaged.
    """
    ledger = Ledger(state)
    nights = ledger.nights()
    if run_id is not None and run_id not in nights:
        raise UnknownNightError(
            f"the ledger names no night {run_id}; it names: {', '.join(nights) or 'none'}."
        )
    found = Verified([], [])
    _check_ledger(ledger, found, key, head)
    for night in nights.values():
        if run_id in {None, night.run_id}:
            _check_night(state, night, found)
    if run_id is None:
        _check_names(state, nights, found)
    return found


def _check_ledger(ledger: Ledger, found: Verified, key: Ed25519PublicKey | None, head: str | None) -> None:
    lines = list(ledger.lines())
    if not lines:
        return
    found.lines.append(f"{ledger.path.name}: {len(lines)} lines, head {lines[-1][1]}")
    if head is not None and head not in {digest for _, digest in lines}:
        found.problems.append(
            f"{ledger.path} does not contain the line {head}: it was replaced, or its end was cut off."
        )
    if key is not None:
        signed = [is_signed(line, key) for line, _ in lines]
        first = next((number for number, line in enumerate(lines) if line[0].signature), len(lines))
        wrong = [number + 1 for number in range(first, len(lines)) if not signed[number]]
        if not any(signed):
            found.problems.append(f"{ledger.path}: no line is signed by this key.")
        elif wrong:
            found.problems.append(
                f"{ledger.path}:{wrong[0]} is not signed by this key, nor are {len(wrong) - 1} others."
            )
        else:
            before = f"; the first {first} were written before there was a key" if first else ""
            found.lines.append(
                f"{ledger.path.name}: {len(lines) - first} lines are signed by this key{before}"
            )


def _check_night(state: Path, night: NightState, found: Verified) -> None:
    run_id, problems = night.run_id, len(found.problems)
    if night.set_aside is not None:
        found.lines.append(f"{run_id}: set aside: {night.set_aside.why}")
    found.lines.extend(_tombstones(night))
    counts = [
        _check_snapshot(state, night, found),
        _check_results(state, night, found),
        _check_reports(state, night, found),
    ]
    said = ", ".join(count for count in counts if count)
    if said and len(found.problems) == problems:
        found.lines.append(f"{run_id}: {said} match; manifest sha256 {night.manifest}")


def _tombstones(night: NightState) -> list[str]:
    """Return a line for each removal of parts of a night."""
    parts: dict[tuple[str, str], list[str]] = {}
    for part, removed in night.removed.items():
        parts.setdefault((removed.why, f"{removed.at:%Y-%m-%d %H:%M}"), []).append(part)
    return [
        f"{night.run_id}: {', '.join(names)} {why} on {when} UTC"
        + (f"; manifest sha256 {night.manifest}" if "snapshot" in names else "")
        for (why, when), names in parts.items()
    ]


def _check_snapshot(state: Path, night: NightState, found: Verified) -> str:
    folder = state / "snapshots" / night.run_id
    if "snapshot" in night.removed:
        if folder.exists():
            found.problems.append(f"{folder} was removed and is there again. {_REMOVE_AGAIN}")
        return ""
    if not folder.exists():
        found.problems.append(f"{folder} is missing. {_RESTORE}")
        return ""
    if not is_sealed(folder):
        found.problems.append(
            f"{folder / 'manifest.json'} is missing: the run was killed at the moment of the seal (then run again), or it was "
            "removed."
        )
        return ""
    if sha256_of(folder / "manifest.json") != night.manifest:
        found.problems.append(f"{folder / 'manifest.json'} differs from the ledger (sha256). {_RESTORE}")
        return ""
    manifest = read_manifest(folder)
    expected = {folder / name: digest for name, digest in expected_files(manifest).items()}
    _compare(folder, {**expected, folder / "manifest.json": night.manifest}, found)
    return f"{len(manifest.files)} files of the snapshot"


def _check_results(state: Path, night: NightState, found: Verified) -> str:
    gone = night.removed.keys() & {"analysis", "history", "figures"}
    folder = state / "analysis" / night.run_id
    history = sorted((state / "history").glob(f"{night.run_id}.*"))
    if "analysis" in gone and folder.exists():
        found.problems.append(f"{folder} was removed and is there again. {_REMOVE_AGAIN}")
    if night.analyzed is None:
        if not gone and (folder.exists() or history):
            found.lines.append(
                f"{night.run_id}: its analysis was interrupted; the next run, or `sprawlscan analyze`, completes it"
            )
        return ""
    expected: dict[Path, str] = {}
    for name, digest in night.analyzed.files.items():
        part = "analysis" if name.startswith("analysis/") else "history"
        part = "figures" if name.endswith(".metrics.json") else part
        if part not in gone:
            expected[state / name] = digest
    if "analysis" not in gone:
        _compare(
            folder, {path: digest for path, digest in expected.items() if path.is_relative_to(folder)}, found
        )
    kept = {path: digest for path, digest in expected.items() if path.parent == state / "history"}
    _compare_files(kept, found)
    found.problems.extend(f"{path} is not in the ledger. {_ADDED}" for path in history if path not in kept)
    return f"{len(expected)} of analysis and history" if expected else ""


def _check_reports(state: Path, night: NightState, found: Verified) -> str:
    folder = state / "reports" / night.run_id
    if "reports" in night.removed:
        if folder.exists():
            found.problems.append(f"{folder} was removed and is there again. {_REMOVE_AGAIN}")
        return ""
    if night.notified is None and not night.reports and folder.exists():
        found.lines.append(f"{night.run_id}: its reports were interrupted; the next run completes them")
        return ""
    _compare(folder, {state / name: digest for name, digest in night.reports.items()}, found)
    return f"{len(night.reports)} reports" if night.reports else ""


def _compare(folder: Path, expected: dict[Path, str], found: Verified) -> None:
    """Compare the files of a folder with their hashes."""
    _compare_files(expected, found)
    there = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    found.problems.extend(f"{path} is not in the ledger. {_ADDED}" for path in there if path not in expected)


def _compare_files(expected: dict[Path, str], found: Verified) -> None:
    for path, digest in expected.items():
        if not path.is_symlink() and path.is_file():
            if sha256_of(path) != digest:
                found.problems.append(f"{path} differs from the ledger (sha256). {_RESTORE}")
        elif path.is_symlink() or path.exists():
            found.problems.append(f"{path} is not a regular file. {_RESTORE}")
        else:
            found.problems.append(f"{path} is missing. {_RESTORE}")


def _check_names(state: Path, nights: dict[str, NightState], found: Verified) -> None:
    """Tell of files and folders that belong to no night."""
    for name in ("snapshots", "analysis", "reports"):
        for path in sorted((state / name).glob("*")):
            if path.name in nights:
                continue
            if name == "snapshots" and path.is_dir() and not is_sealed(path):
                found.lines.append(f"{path.name}: interrupted before it was sealed")
            elif not path.name.endswith((".partial", ".tmp")):
                found.problems.append(f"{path} is not in the ledger. {_ADDED}")
    for path in sorted((state / "history").glob("*")):
        if path.name.partition(".")[0] not in {*nights, "version"}:
            found.problems.append(f"{path} is not in the ledger. {_ADDED}")
    try:
        check_history(state / "history")
    except SnapshotError as exc:
        found.problems.append(str(exc))


_RESTORE = "Restore it from a backup; do not trust what is made from it."
_ADDED = "It was added by something else: remove it."
_REMOVE_AGAIN = "Complete the removal with `sprawlscan prune --delete`."
