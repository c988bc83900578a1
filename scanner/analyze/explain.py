"""The facts behind one finding as text, printed by `sprawlscan explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.night import open_night
from scanner.safe_text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scanner.night import Night


class NoSuchFindingError(Exception):
    """No finding, or more than one, has this id."""


def explain(state: Path, run_id: str, finding: str) -> str:
    """Return a finding's facts, statement, path and smallest fix. ``finding`` is its id or a prefix of it.

    Raises `NoSuchFindingError`.
    """
    with open_night(state, run_id) as night:
        return explain_finding(night, finding)


def explain_finding(night: Night, finding: str) -> str:
    """Do the same for a night that is already open."""
    # A name with a line break or an escape sequence must not forge a line or control the terminal.
    return "\n".join(plain(line) for line in _lines(night, found_finding(night, finding))) + "\n"


def found_finding(night: Night, finding: str) -> dict[str, Any]:
    """Return the one finding with this id or prefix. Raises `NoSuchFindingError`."""
    query = "SELECT * FROM findings WHERE starts_with(id, $wanted) ORDER BY id LIMIT 6"
    found = list(night.dicts(query, {"wanted": finding}))
    if not found:
        raise NoSuchFindingError(
            f"run {night.run_id} has no finding {finding!r}; `sprawlscan findings` lists the ids."
        )
    if len(found) > 1:
        ids = ", ".join(row["id"] for row in found[:5])
        raise NoSuchFindingError(f"{finding!r} matches several findings: {ids}. Give more characters.")
    return found[0]


def _lines(night: Night, finding: dict[str, Any]) -> Iterator[str]:
    yield f"{finding['id']}  {finding['severity']}  {finding['status']}  (rule {finding['rule']})"
    yield finding["title"]
    yield ""
    yield f"What:    {finding['subject_name']}  [{finding['subject']}]"
    yield f"Where:   {finding['account_name'] or finding['account_id']}"
    yield f"Owner:   {finding['owner'] or 'no owner'}" + (
        f" (from {finding['owner_source']})" if finding["owner_source"] else ""
    )
    yield f"Since:   {finding['first_seen']:%Y-%m-%d}" + (
        f", due {finding['due_at']:%Y-%m-%d}" if finding["due_at"] else ""
    )
    yield f"Why:     {finding['detail']}"
    if finding["blast"]:
        yield f"Reaches: {finding['blast']}"
    yield from _numbered("Path", finding["path"])
    if finding["not_observed"]:
        yield f"Not observed in this run: {finding['not_observed']}"
    if finding["confidence"] == "low":
        yield "Low confidence: some inputs that could change this result were not readable."
    for key, value in sorted((finding["evidence"] or {}).items()):
        yield f"  {key}: {value}"
    if finding["identity_id"]:
        yield from _identity(night, finding["identity_id"])
    yield ""
    yield f"Change:  {finding['fix']}"
    if finding["url"]:
        yield f"See:     {finding['url']}"
    if finding["status"] != "resolved":
        yield f"To accept it, exceptions.yaml takes: rule: {finding['rule']}, subject: {finding['subject']!r},"
        yield f"  state_hash: {finding['state_hash']}"


def _numbered(title: str, steps: list[str] | None) -> Iterator[str]:
    if not steps:
        return
    yield f"{title}:"
    for number, step in enumerate(steps, 1):
        yield f"  {number}. {step}"


def _identity(night: Night, identity: str) -> Iterator[str]:
    query = "SELECT name, kind, surface, address FROM identities WHERE id = $id"
    for row in night.dicts(query, {"id": identity}):
        yield ""
        yield f"Identity {row['name']} ({row['kind']}, {row['surface'] or 'person or automation unknown'}) {row['address'] or ''}".rstrip()
    grants = "SELECT * FROM grants WHERE identity_id = $id ORDER BY level, role, id LIMIT 10"
    for row in night.dicts(grants, {"id": identity}):
        powers = ", ".join(row["powers"]) or "could not be evaluated"
        yield f"  grant {row['role']} on {row['resource']}: {powers}" + (
            " (conditional)" if row["conditional"] else ""
        )
        if row["why"]:
            yield f"    {row['why']}"
    trusts = "SELECT * FROM trusts WHERE identity_id = $id ORDER BY problem NULLS LAST, id LIMIT 10"
    for row in night.dicts(trusts, {"id": identity}):
        tests = "; ".join(
            f"{test['claim']} {test['operator']} {'|'.join(test['values'])}" for test in row["tests"]
        )
        yield f"  trusted: {row['issuer']} when {tests or 'unconditionally'} -> {row['exposure']}"
        if row["why"]:
            yield f"    {row['why']}"
    ways = "SELECT * FROM reach WHERE identity_id = $id AND steps > 0 ORDER BY steps, power LIMIT 3"
    for row in night.dicts(ways, {"id": identity}):
        yield from _numbered(f"  Shortest way to {row['power']}", row["path"])
