"""The findings about a checkout, one for each place: file, line, what is wrong there and the smallest change."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from scanner.checked import Occurrence, Unread
from scanner.findings import OPEN
from scanner.rule_texts import rules_in_force
from scanner.sarif import FINDINGS, places

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from scanner.night import Night


_WEAK = """
    SELECT subject_id, code, severity, what, fix, path, line, job, confidence FROM weaknesses
    WHERE code <> 'unresolved-reference' ORDER BY ALL
"""


def occurrences(night: Night) -> list[Occurrence]:
    """Return what a night says of its checkouts: open findings, most severe first, then by file and line."""
    found = list(_all(night, f"{OPEN} AND starts_with(account_id, 'definitions:')"))
    return sorted(found, key=lambda one: (one.rank, one.path or "", one.line or 0, one.rule, one.what))


def accepted(night: Night) -> list[tuple[str, str]]:
    """Return the findings that an exception accepts: ``rule at place`` and the id of the exception."""
    query = "SELECT rule, subject_name, exception_id FROM findings WHERE status = 'excepted' AND starts_with(account_id, 'definitions:') ORDER BY ALL"
    return [(f"{rule}: {name}", exception) for rule, name, exception in night.rows(query)]


def unread(night: Night) -> list[Unread]:
    """Return what was not read of the checkout, each once."""
    gaps = night.rows(
        "SELECT DISTINCT regexp_replace(call, '^read ', ''), detail, reason FROM gaps "
        "WHERE starts_with(account_id, 'definitions:') ORDER BY ALL"
    )
    found = [
        Unread(what=detail if call in detail else f"{call}: {detail}", reason=reason)
        for call, detail, reason in gaps
    ]
    references = night.rows(
        "SELECT DISTINCT coalesce(path || coalesce(':' || line, '') || ': ', '') || what FROM weaknesses "
        "WHERE code = 'unresolved-reference' AND starts_with(account_id, 'definitions:') ORDER BY ALL"
    )
    return [*found, *(Unread(what=what, reason="unresolved") for (what,) in references)]


def brought(
    before: Iterable[Occurrence], after: Iterable[Occurrence], *, gone: Container[str], added: Container[str]
) -> list[Occurrence]:
    """Return those that a change brings: what is there more often than before, or more severe.

    ``gone`` are the files that only the base has, ``added`` those that it lacks: what stood in a file that is gone and
    stands in an added one has moved.
    """
    known = Counter((one.about, one.severity) for one in before)
    moved = Counter((one.alike, one.severity) for one in before if one.path in gone)
    new = []
    for one in after:
        if known[(one.about, one.severity)]:
            known[(one.about, one.severity)] -= 1
        elif one.path in added and moved[(one.alike, one.severity)]:
            moved[(one.alike, one.severity)] -= 1
        else:
            new.append(one)
    return new


def _all(night: Night, where: str) -> Iterator[Occurrence]:
    texts = rules_in_force(night)
    weak: dict[str, list[dict[str, Any]]] = {}
    for row in night.dicts(_WEAK):
        weak.setdefault(row["subject_id"], []).append(row)
    for row in night.dicts(f"SELECT * FROM ({FINDINGS}) WHERE {where} ORDER BY id"):
        text = texts.get(row["rule"])
        common = {
            "finding_id": row["id"],
            "rule": row["rule"],
            "title": row["title"],
            "why": " ".join(text.why.split()) if text else "",
            "subject": row["subject_name"],
        }
        codes = set(((row["evidence"] or {}).get("codes") or "").split(", "))
        parts = [one for one in weak.get(row["subject"], ()) if one["code"] in codes]
        yield from _parts(row, parts, common) if parts else [_whole(row, common)]


def _parts(
    row: Mapping[str, Any], parts: Iterable[Mapping[str, Any]], common: dict[str, str]
) -> Iterator[Occurrence]:
    for one in parts:
        job = f" (job {one['job']})" if one["job"] else ""
        yield Occurrence(
            severity=one["severity"], confidence=one["confidence"], path=one["path"], line=one["line"],
            what=f"{one['what']}{job}", fix=one["fix"], about="\0".join((row["rule"], row["subject"], one["code"], one["what"], job)),
            alike="\0".join((row["rule"], one["code"], one["what"], job)),
            **common,
        )  # fmt: skip


def _whole(row: Mapping[str, Any], common: dict[str, str]) -> Occurrence:
    found = places(row)
    return Occurrence(
        severity=row["severity"], confidence=row["confidence"], path=found[0].path if found else None,
        line=found[0].line if found else None, what=row["detail"], fix=" ".join(row["fix"].split()),
        about="\0".join((row["rule"], row["subject"])), alike=row["rule"], **common,
    )  # fmt: skip
