"""exceptions.yaml: findings accepted for a limited time.

::

    exceptions:
      - id: RISK-12                      # optional; else a hash of the entry
        rule: credential-unused
        subject: aws:access-key:AKIA...  # id or address of the subject, or a glob over either (`*`, `?`; anchored)
        owner: payments
        approver: ciso@example.com
        reason: planned-removal          # see REASONS
        explanation: The ledger moves to OIDC in January.
        ticket: SEC-1234
        compensating_control: Source addresses pinned by policy.
        approved: 2026-11-20
        expires: 2027-01-15              # last day; at most 7, 30, 60 or 90 days after approval, by severity
        state_hash: 0f3a...              # optional, for an exact subject: void when the accepted facts change

An exception that is expired, void, unmatched or malformed accepts nothing and is itself a finding. So is an exception
that expires within 14 days. A finding whose severity allows only a shorter time is not covered; the others that a glob
matches still are. An exception that matches nothing is dormant, and no finding, while its rule is disabled or could not
look.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from scanner.document import Document, DocumentError, nearest, read_document
from scanner.findings import SEVERITIES, ExceptionState
from scanner.glob import is_glob, like_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from scanner.records import Severity
    from scanner.tables import Tables

EXCEPTIONS_ACCOUNT = "sprawlscan:file:exceptions"
"""The account of findings about exceptions.yaml itself."""

REASONS = (
    "accepted-risk",
    "compensating-control",
    "false-positive",
    "not-applicable",
    "planned-removal",
    "provider-limitation",
    "test-data",
)
"""Valid reasons. The explanation gives the details."""

CAP_DAYS: dict[Severity, int] = {"critical": 7, "high": 30, "medium": 60, "low": 90, "info": 90}
"""Longest time from approval to expiry by severity, as Azure DevOps' attestation caps it
(https://github.com/azsk/ADOScanner-docs)."""

EXPIRING_DAYS = 14
"""Days before expiry from which an exception is reported as expiring."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of one exception."""

    rule: str
    subject: str
    owner: str
    approver: str
    reason: str
    explanation: str
    approved: date
    expires: date
    id: str | None = None
    ticket: str | None = None
    compensating_control: str | None = None
    state_hash: str | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """One exception as read, with its problem if any."""

    id: str
    entry: Entry
    place: str
    """``file:line:column``."""
    problem: str | None
    """Why it is malformed. A malformed exception accepts nothing."""

    @property
    def ends(self) -> datetime:
        """The last second of its validity."""
        return datetime.combine(self.entry.expires, time(23, 59, 59), tzinfo=UTC)


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """The findings that match an exception's selector tonight."""

    findings: int
    too_severe: int
    """How many of them may not be accepted for so long."""
    worst: Severity
    other_state: str | None
    """The state hash of a matching finding that differs from the accepted one."""


def read_exceptions(
    path: Path, rules: Iterable[str], as_of: datetime, *, renamed: Mapping[str, str] | None = None
) -> list[Accepted]:
    """Read exceptions.yaml. Raises `DocumentError` if the file as a whole cannot be read.

    ``rules`` are the ids of all rules; ``renamed`` maps earlier ids to them: entries may still use those.
    An invalid entry is returned with its problem, so that the others remain valid.
    """
    document = read_document(path)
    if document.value is None:
        return []
    problems = document.unknown_keys(document.value, ["exceptions"], ())
    if problems:
        raise DocumentError(problems)
    entries = document.value.get("exceptions") or []
    if not isinstance(entries, list):
        raise DocumentError([document.problem(("exceptions",), "must be a list")])
    known = set(rules)
    accepted: list[Accepted] = []
    taken: set[str] = set()
    for index, given in enumerate(entries):
        where: tuple[str | int, ...] = ("exceptions", index)
        text = json.dumps(given, sort_keys=True, default=str)
        own = given.get("id") if isinstance(given, dict) else None
        name = str(own) if own else "exc-" + hashlib.sha256(text.encode()).hexdigest()[:12]
        if renamed and isinstance(given, dict) and given.get("rule") in renamed:
            given = {**given, "rule": renamed[given["rule"]]}  # noqa: PLW2901
        entry, problem = _entry(document, given, where, known, as_of)
        if name in taken:
            problem = document.problem(
                where, f"duplicate of the exception `{name}` above; give this one a different id"
            )
            name = f"{name}#{index + 1}"
        taken.add(name)
        # Both appear in reports, which must not show the path of the file on this machine.
        here = f"{path.parent}/"
        place = document.at(where).removeprefix(here)
        problem = problem.removeprefix(here) if problem else None
        accepted.append(Accepted(id=name, entry=entry, place=place, problem=problem))
    return accepted


def _entry(
    document: Document, given: Any, where: tuple[str | int, ...], rules: set[str], as_of: datetime
) -> tuple[Entry, str | None]:
    """Return an entry and its problems, all of them. Unreadable fields of a malformed entry are empty."""
    problems = document.unknown_keys(given, Entry.__struct_fields__, where)
    if isinstance(given, dict):
        # Ids of risks and tickets are text, even if written as numbers.
        named = {
            name: str(value) if name in ("id", "ticket") and type(value) is int else value
            for name, value in given.items()
        }
        problems += document.misfits(named, Entry, where)
        if not problems:
            entry = document.convert(named, Entry, where)
            return entry, "; ".join(_wrong(document, entry, where, rules, as_of)) or None
    salvaged = given if isinstance(given, dict) else {}
    rule, reason = salvaged.get("rule"), salvaged.get("reason")
    if isinstance(rule, str) and rule not in rules:
        problems.append(document.problem((*where, "rule"), f"no rule `{rule}`; {nearest(rule, rules)}"))
    if isinstance(reason, str) and reason not in REASONS:
        problems.append(document.problem((*where, "reason"), f"unknown reason; {nearest(reason, REASONS)}"))
    tonight = as_of.astimezone(UTC).date()

    def text(name: str) -> str:
        return str(salvaged.get(name, ""))

    return (
        Entry(
            rule=text("rule"),
            subject=text("subject"),
            owner=text("owner"),
            approver=text("approver"),
            reason=text("reason"),
            explanation=text("explanation"),
            approved=tonight,
            expires=tonight,
        ),
        "; ".join(problems),
    )


def _wrong(
    document: Document, entry: Entry, where: tuple[str | int, ...], rules: set[str], as_of: datetime
) -> list[str]:
    found: dict[str, str] = {}
    if entry.rule not in rules:
        found["rule"] = f"no rule `{entry.rule}`; {nearest(entry.rule, rules)}"
    if entry.reason not in REASONS:
        found["reason"] = f"unknown reason; {nearest(entry.reason, REASONS)}"
    if not entry.subject.strip("*?"):
        found["subject"] = "must not match everything; name a subject or a prefix"
    if entry.state_hash is not None and is_glob(entry.subject):
        found["state_hash"] = "needs an exact subject, not a glob"
    if entry.approved > as_of.astimezone(UTC).date():
        found["approved"] = "is in the future"
    if entry.expires < entry.approved:
        found["expires"] = "is before the approval"
    for name in ("subject", "owner", "approver", "explanation"):
        if not getattr(entry, name).strip():
            found[name] = "must not be empty"
    return [document.problem((*where, name), what) for name, what in found.items()]


_MATCHES = r"""
    SELECT a.place, a.exact, a.state_hash AS accepted_hash, c.id AS finding_id, c.severity, c.state_hash,
           a.days > $caps[list_position($severities, c.severity)] AS too_severe
    FROM record_candidates AS c JOIN accepted AS a ON a.rule = c.rule
         AND (c.subject = a.subject OR c.subject_address = a.subject
              OR a.pattern IS NOT NULL AND (c.subject LIKE a.pattern ESCAPE '\'
                                            OR c.subject_address LIKE a.pattern ESCAPE '\'))
    WHERE c.status <> 'resolved' AND c.shown
"""

_PER_EXCEPTION = """
    SELECT place, count(*), count(*) FILTER (too_severe), min(list_position($severities, severity)),
           min(CASE WHEN accepted_hash IS NOT NULL AND state_hash <> accepted_hash THEN state_hash END)
    FROM matches GROUP BY place
"""

_COVERED = """
    SELECT m.finding_id, arg_min(a.id, {'glob': NOT m.exact, 'place': m.place}) AS exception_id
    FROM matches AS m JOIN accepted AS a ON a.place = m.place
    WHERE list_contains($holding, m.place) AND NOT m.too_severe GROUP BY m.finding_id
"""

_IN_DOUBT = """
    SELECT rule, min(why) AS why FROM (
        SELECT DISTINCT rule, 'its rule is disabled' AS why FROM accepted WHERE rule NOT IN (SELECT rule FROM rules)
        UNION ALL
        SELECT rule, 'its rule failed' FROM record_errors
        UNION ALL
        SELECT n.rule, 'its rule could not look everywhere: ' || min(g.call || ': ' || g.reason || ', in ' || g.account_id)
        FROM gaps AS g JOIN rule_needs AS n
             ON g."table" = '*' OR n."table" = g."table" AND (n.kind IS NULL OR g.kind IS NULL OR n.kind = g.kind)
        WHERE g.reason <> 'unsupported' AND n.rule IN (SELECT rule FROM accepted) GROUP BY n.rule
    ) GROUP BY rule
"""
"""Rules whose silence about a subject proves nothing."""


_ACCEPTED_COLUMNS = {
    "place": "BIGINT",
    "id": "VARCHAR",
    "rule": "VARCHAR",
    "subject": "VARCHAR",
    "pattern": "VARCHAR",
    "exact": "BOOLEAN",
    "state_hash": "VARCHAR",
    "days": "BIGINT",
}


def evaluate_exceptions(tables: Tables, accepted: list[Accepted], as_of: datetime) -> list[ExceptionState]:
    """Match the exceptions with tonight's ``record_candidates``; return what became of each.

    Reads ``rules``, ``rule_needs``, ``gaps`` and ``record_errors``.
    Makes the tables ``accepted`` (the exceptions), ``matches`` (with the findings that each selects) and ``covered``
    (the findings that an exception in force covers).
    """
    tables.table_of_rows(
        "accepted", _ACCEPTED_COLUMNS, [_row(place, item) for place, item in enumerate(accepted)]
    )
    ladder = {"severities": list(SEVERITIES), "caps": [CAP_DAYS[name] for name in SEVERITIES]}
    tables.table_of("matches", _MATCHES, ladder)
    found = {
        place: Matched(findings=count, too_severe=too_severe, worst=SEVERITIES[worst - 1], other_state=other)
        for place, count, too_severe, worst, other in tables.rows(_PER_EXCEPTION, ladder)
    }
    in_doubt: dict[str, str] = dict(tables.rows(_IN_DOUBT)) if accepted else {}
    states = [
        _state(item, found.get(place), in_doubt.get(item.entry.rule), as_of)
        for place, item in enumerate(accepted)
    ]
    holding = [place for place, state in enumerate(states) if state.state in ("active", "expiring")]
    tables.table_of("covered", _COVERED, {"holding": holding or [-1]})
    return states


def _row(place: int, item: Accepted) -> tuple[Any, ...]:
    entry = item.entry
    glob = is_glob(entry.subject)
    pattern = like_pattern(entry.subject) if glob else None
    days = (entry.expires - entry.approved).days
    return place, item.id, entry.rule, entry.subject, pattern, not glob, entry.state_hash, days


def _state(item: Accepted, matched: Matched | None, in_doubt: str | None, as_of: datetime) -> ExceptionState:
    state, detail = _verdict(item, matched, in_doubt, as_of)
    entry = item.entry
    return ExceptionState(
        id=item.id,
        rule=entry.rule,
        selector=entry.subject,
        owner=entry.owner,
        approved_by=entry.approver,
        approved_at=datetime.combine(entry.approved, time(), tzinfo=UTC),
        reason=": ".join(part for part in (entry.reason, entry.explanation) if part),
        compensating_control=entry.compensating_control,
        ticket=entry.ticket,
        expires_at=item.ends,
        state=state,
        matched=matched.findings - matched.too_severe if matched else 0,
        detail=detail,
    )


_State = Literal["active", "expiring", "expired", "dormant", "unmatched", "void", "malformed"]


def _verdict(
    item: Accepted, matched: Matched | None, in_doubt: str | None, as_of: datetime
) -> tuple[_State, str | None]:
    if item.problem is not None:
        return "malformed", item.problem
    if item.ends < as_of:
        again = f"; {matched.findings} findings count again" if matched else ""
        return "expired", f"expired on {item.entry.expires.isoformat()}{again}"
    if matched is None:
        # Without the line: a comment further up in the file changes nothing.
        nothing = f"no finding of {item.entry.rule} has this subject"
        return ("dormant", f"{nothing}; {in_doubt}") if in_doubt else ("unmatched", nothing)
    cap = CAP_DAYS[matched.worst]
    latest = (item.entry.approved + timedelta(days=cap)).isoformat()
    limit = f"a {matched.worst} finding may be accepted for at most {cap} days, here until {latest}"
    if matched.too_severe == matched.findings:
        return "malformed", limit
    if matched.other_state is not None:
        return "void", (
            f"{item.place}: the accepted facts have changed; review the finding and, if still acceptable, "
            f"approve it with state_hash: {matched.other_state}"
        )
    more = (
        f"{matched.too_severe} of {matched.findings} findings are not accepted: {limit}"
        if matched.too_severe
        else None
    )
    if item.ends < as_of + timedelta(days=EXPIRING_DAYS):
        return "expiring", f"expires on {item.entry.expires.isoformat()}" + (f"; {more}" if more else "")
    return "active", more


def problems(accepted: Iterable[Accepted], severities: Mapping[str, Severity]) -> list[str]:
    """Return the problems of exceptions that need no findings: malformed ones, and those longer than their rule allows."""
    found = []
    for item in accepted:
        if item.problem is not None:
            found.append(item.problem)
            continue
        cap = CAP_DAYS[severities[item.entry.rule]]
        if (item.entry.expires - item.entry.approved).days > cap:
            found.append(f"{item.place}: longer than the {cap} days allowed for its rule's severity")
    return found
