"""The changed policies for one finding, tried on the night's records, printed by `sprawlscan explain --patch`.

The provider's collector proposes them (``propose``) and evaluates them (``evaluate``), as it evaluated the policies of the
night. So what a change ends, and what remains, is what the next night would find.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from scanner.analyze.explain import found_finding
from scanner.analyze.trust import simulate
from scanner.night import open_night
from scanner.parquet import read_table
from scanner.plugins import load_collector
from scanner.policies import applied
from scanner.records import TABLES, Grant, Link, Policy, Test, Trust
from scanner.safe_text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from scanner.night import Night
    from scanner.policies import PolicyChange
    from scanner.records import Record


class NoPatchError(Exception):
    """No changed policy can be given for a finding."""


class _Evaluator(Protocol):
    """A collector whose policies can be changed and evaluated again."""

    def evaluate(self, policies: Iterable[Policy], records: Iterable[Record], as_of: datetime) -> Iterator[Record]: ...  # fmt: skip

    def propose(self, policies: Iterable[Policy], records: Iterable[Record], as_of: datetime, subject: str, callers: Sequence[dict[str, str]]) -> list[PolicyChange]: ...  # fmt: skip


EVALUATED = frozenset({"grants", "trusts"})
"""Tables that are results of an evaluation. ``links`` are both facts and results."""


def patch(state: Path, run_id: str, finding: str) -> str:
    """Return the changed policies that end a finding, what they end and what remains. ``finding`` is its id or a prefix.

    Raises `NoSuchFindingError`, and `NoPatchError` if its provider has no evaluator or no exact change is known.
    """
    with open_night(state, run_id) as night:
        row = found_finding(night, finding)
        module = _evaluator(str(row["provider"]))
        policies, records = _stored(night, str(row["account_id"]), str(row["provider"]))
        subject = row["subject"] if row["subject_table"] == "trusts" else row["identity_id"]
        changes = module.propose(
            policies, records, night.as_of, subject or row["subject"], _callers(night, row)
        )
        if not changes:
            raise NoPatchError(
                f"{row['id']}: no change of a policy follows from what is known of its callers and its use. {row['fix']}"
            )
        given = [record for record in records if not isinstance(record, Grant | Trust)]
        before = _results(module.evaluate(policies, given, night.as_of))
        after = _results(module.evaluate(list(applied(policies, changes)), given, night.as_of))
        lines = [*_changes(changes), *_effect(before, after, {row["identity_id"] or row["subject"]}, night)]
    return "\n".join(lines) + "\n"


def _evaluator(provider: str) -> _Evaluator:
    try:
        module: Any = load_collector(provider)
    except LookupError:
        module = None
    if not hasattr(module, "propose"):
        raise NoPatchError(f"no changed policies can be proposed for {provider}")
    return module  # type: ignore[no-any-return]


def _stored(night: Night, account: str, provider: str) -> tuple[list[Policy], list[Record]]:
    """Return the policies and the other records of one account and of what is above it, as they were collected."""
    policies: list[Policy] = []
    records: list[Record] = []
    parents = {row["id"]: row["parent_id"] for row in night.dicts("SELECT id, parent_id FROM accounts")}
    places = {account}
    while (above := parents.get(account)) is not None and above not in places:
        places.add(above)
        account = above
    for file in night.manifest.files:
        record = TABLES.get(file.table)
        if record is None:
            continue
        for one in read_table(night.snapshot / file.path, record):
            if one.provider != provider or one.account_id not in places:
                continue
            if isinstance(one, Policy):
                policies.append(one)
            else:
                records.append(one)
    return policies, records


def _callers(night: Night, finding: dict[str, Any]) -> list[dict[str, str]]:
    """Return the tokens of the identities that are known to use the trusted identity, and pass, as claims."""
    query = "SELECT issuer, tests, identity_id FROM trusts WHERE id = $id AND kind = 'oidc'"
    found: list[dict[str, str]] = []
    for trust in night.dicts(query, {"id": finding["subject"]}):
        tests = [Test(**test) for test in trust["tests"]]
        query = """
            SELECT DISTINCT i.id, i.subjects, i.tokens FROM identities AS i JOIN links AS l ON l.source_id = i.id
            WHERE i.issuer = $issuer AND l.relation = 'uses' AND l.target_id = $target ORDER BY i.id"""
        for identity in night.dicts(query, {"issuer": trust["issuer"], "target": trust["identity_id"]}):
            tokens = [dict(token) for token in identity["tokens"]]
            found += [
                token
                for token in tokens or [{"sub": subject} for subject in identity["subjects"]]
                if simulate(tests, {name.lower(): value for name, value in token.items()}) != "no"
            ]
    return found


def _results(records: Iterable[Record]) -> dict[str, tuple[str, str]]:
    """Return what an evaluation found that is worth ending: key -> (who has it, in words)."""
    found: dict[str, tuple[str, str]] = {}
    for record in records:
        match record:
            case Grant(level="admin" | "escalation"):
                found[record.id] = record.identity_id, record.why or record.role
            case Trust(problem=str(problem)):
                found[f"{record.id} {problem}"] = record.identity_id, f"{problem}: {record.why}"
            case Link(relation="can_become"):
                found[record.id] = record.source_id, record.why or record.target_id
            case _:
                pass
    return found


def _changes(changes: Sequence[PolicyChange]) -> Iterator[str]:
    for change in changes:
        if not change.how:
            continue
        yield f"# {plain(change.how)}"
        before = None if change.before is None else change.before.document
        if change.after is not None and change.after.document is not None and change.after.document != before:
            yield json.dumps(json.loads(change.after.document), indent=2, sort_keys=True)
        yield ""


def _effect(
    before: dict[str, tuple[str, str]], after: dict[str, tuple[str, str]], whose: set[str], night: Night
) -> Iterator[str]:
    """Yield what the changes end and what remains, of those concerned and of others."""
    own = {key: text for key, (who, text) in before.items() if who in whose}
    left = dict.fromkeys(text for who, text in after.values() if who in whose)
    ended = dict.fromkeys(text for key, text in own.items() if key not in after)
    yield f"# Tried on the records of run {night.run_id}."
    yield from _listed("This ends", list(ended))
    yield from _listed("This remains", list(left))
    others = {
        who
        for key in {*before, *after}
        for who, _ in [before.get(key) or after[key]]
        if before.get(key) != after.get(key) and who not in whose
    }
    if others:
        names = {row["id"]: row["name"] for row in night.dicts("SELECT id, name FROM identities")}
        yield from _listed(
            "This also changes what these may do", sorted(names.get(one, one) for one in others)
        )


def _listed(title: str, items: Sequence[str]) -> Iterator[str]:
    yield f"# {title}:" + ("" if items else " nothing.")
    yield from (f"#   {plain(item)}" for item in items[:20])
    if len(items) > 20:
        yield f"#   and {len(items) - 20} more."
