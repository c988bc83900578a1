"""Rule results as JUnit XML for build servers: ``junit.xml``, in the schema of Jenkins' xUnit plugin
(https://github.com/jenkinsci/xunit-plugin, ``junit-10.xsd``).

A test suite is an account, a test case a rule in it:

- failure: open findings, or findings of earlier runs that this one could not observe;
- error: the rule failed;
- skipped: not all inputs were read and nothing was found, or all that was found is accepted by an exception;
- otherwise it passed: all inputs were read, and nothing was found.

The suite ``coverage`` has a case for each target. One that was not read is an error, so that a build never turns green
because a credential was lost.
"""

from __future__ import annotations

from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from reports.stream import write_parts
from scanner.safe_text import plain
from scanner.uncovered import coverage_sentence, uncovered_targets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scanner.night import Night

SHOWN = 50
"""The most findings that a test case lists; the rest is counted."""

_FOUND = "status <> 'resolved' AND NOT out_of_scope"

_CASES = f"""
    WITH found AS (
        SELECT rule, account_id, count(*) FILTER (WHERE status IN ('new', 'open', 'reopened')) AS open,
               count(*) FILTER (WHERE status IN ('unobserved', 'error')) AS unobserved,
               count(*) FILTER (WHERE status = 'excepted') AS excepted
        FROM findings WHERE {_FOUND} GROUP BY ALL
    ), cases AS (
        SELECT coalesce(r.rule, f.rule) AS rule, coalesce(r.account_id, f.account_id) AS account_id,
               coalesce(r.status, 'not-evaluated') AS status, r.reason, coalesce(f.open, 0) AS open,
               coalesce(f.unobserved, 0) AS unobserved, coalesce(f.excepted, 0) AS excepted
        FROM rule_results AS r FULL JOIN found AS f ON f.rule = r.rule AND f.account_id = r.account_id
    )
    SELECT c.*, coalesce(a.name, c.account_id) AS account,
           CASE WHEN status = 'error' THEN 'error' WHEN open + unobserved > 0 THEN 'failure'
                WHEN excepted > 0 OR status <> 'evaluated' THEN 'skipped' ELSE 'passed' END AS outcome
    FROM cases AS c LEFT JOIN accounts AS a ON a.id = c.account_id
"""
_FINDINGS = f"""
    SELECT account_id, rule, id, severity, status, detail, fix, owner, not_observed, exception_id FROM findings
    WHERE id IN (
        SELECT id FROM findings WHERE {_FOUND}
        QUALIFY row_number() OVER (PARTITION BY account_id, rule ORDER BY rank DESC, id) <= {SHOWN}
    ) ORDER BY account_id, rule, rank DESC, id
"""
_COUNTS = f"""
    SELECT account_id, count(*) AS tests, count(*) FILTER (WHERE outcome = 'failure') AS failures,
           count(*) FILTER (WHERE outcome = 'error') AS errors, count(*) FILTER (WHERE outcome = 'skipped') AS skipped
    FROM ({_CASES}) GROUP BY 1
"""


def write(night: Night, folder: Path) -> list[Path]:
    """Write ``junit.xml``. Returns its path."""
    path = folder / "junit.xml"
    write_parts(path, (part.encode() for part in _parts(night)))
    return [path]


def _parts(night: Night) -> Iterator[str]:
    counts = {row["account_id"]: row for row in night.dicts(_COUNTS)}
    coverage = list(_coverage(night))
    total = {
        "tests": len(coverage) + sum(row["tests"] for row in counts.values()),
        "failures": sum(row["failures"] for row in counts.values()),
        "errors": sum("<error" in case for case in coverage) + sum(row["errors"] for row in counts.values()),
    }
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f"<testsuites{_attributes(name='sprawlscan', **total)}>\n"
    own = {"tests": len(coverage), "failures": 0, "errors": sum("<error" in case for case in coverage)}
    skipped = sum("<skipped" in case for case in coverage)
    yield _suite(night, "coverage", own | {"skipped": skipped})
    sentence = coverage_sentence(night, uncovered_targets(night))
    yield f"<properties><property{_attributes(name='coverage', value=sentence)}/></properties>\n"
    yield from coverage
    yield "</testsuite>\n"
    rows = night.dicts(f"SELECT * FROM ({_CASES}) ORDER BY account_id, rule")
    found = groupby(night.dicts(_FINDINGS), key=itemgetter("account_id", "rule"))
    place, shown = next(found, (None, iter(())))
    for account_id, cases in groupby(rows, key=itemgetter("account_id")):
        numbers = {name: counts[account_id][name] for name in ("tests", "failures", "errors", "skipped")}
        for number, row in enumerate(cases):
            if number == 0:
                yield _suite(night, row["account"] or "the whole estate", numbers, account_id or None)
            if place == (account_id, row["rule"]):
                yield _case(row, list(islice(shown, SHOWN)))
                place, shown = next(found, (None, iter(())))
            else:
                yield _case(row, [])
        yield "</testsuite>\n"
    yield "</testsuites>\n"


def _suite(night: Night, name: str, numbers: dict[str, int], package: str | None = None) -> str:
    timestamp = night.as_of.strftime("%Y-%m-%dT%H:%M:%S")
    return f"<testsuite{_attributes(name=name, **numbers, timestamp=timestamp, package=package)}>\n"


def _coverage(night: Night) -> Iterator[str]:
    """Yield a case for each target, and one for the run."""
    uncovered = {one.id: one for one in uncovered_targets(night)}
    stopped = "The run was stopped before all targets finished."
    result = _outcome("error", stopped, "stopped") if night.manifest.partial else ""
    yield _test("the run finished", "sprawlscan.coverage", result)
    for uid, name in night.rows("SELECT id, coalesce(name, target) FROM target_coverage ORDER BY id"):
        target = uncovered.get(uid)
        result = ""
        if target is not None:
            kind = "error" if target.state == "unread" else "skipped"
            result = _outcome(kind, str(target), target.state)
        yield _test(f"{name} was read ({uid})", "sprawlscan.coverage", result)


def _case(row: dict[str, Any], shown: list[dict[str, Any]]) -> str:
    outcome = ""
    match row["outcome"]:
        case "error":
            outcome = _outcome("error", row["reason"] or "the rule failed", "error", _listed(row, shown))
        case "failure":
            parts = [f"{row['open']} open"] if row["open"] else []
            parts += [f"{row['unobserved']} not observed in this run"] if row["unobserved"] else []
            parts += [f"{row['excepted']} accepted"] if row["excepted"] else []
            kind = "open" if row["open"] else "unobserved"
            outcome = _outcome("failure", f"Findings: {', '.join(parts)}", kind, _listed(row, shown))
        case "skipped":
            reason = row["reason"] or "not all inputs were read"
            text = (
                f"{row['excepted']} accepted by an exception"
                if row["excepted"]
                else f"{row['status']}: {reason}"
            )
            outcome = _outcome("skipped", text, "accepted" if row["excepted"] else row["status"], _listed(row, shown))  # fmt: skip
    return _test(row["rule"], f"sprawlscan.{row['account_id'] or 'estate'}", outcome)


def _listed(row: dict[str, Any], shown: list[dict[str, Any]]) -> str:
    lines = []
    for one in shown:
        line = (
            f"{one['severity']} {one['id']} ({one['status']}; {one['owner'] or 'no owner'}): {one['detail']}"
        )
        if one["not_observed"]:
            line += f" Not observed: {one['not_observed']}."
        if one["exception_id"]:
            line += f" Accepted by {one['exception_id']}."
        lines.append(plain(f"{line} Fix: {one['fix']}"))
    more = row["open"] + row["unobserved"] + row["excepted"] - len(shown)
    return "\n".join([*lines, *([f"and {more} more"] if more > 0 else [])])


def _outcome(kind: str, message: str, of_type: str, text: str = "") -> str:
    return f"<{kind}{_attributes(message=message, type=of_type)}>{escape(text)}</{kind}>"


def _test(name: str, classname: str, outcome: str) -> str:
    return f"<testcase{_attributes(name=name, classname=classname)}>{outcome}</testcase>\n"


def _attributes(**given: str | int | None) -> str:
    """Return XML attributes. Control characters, which XML 1.0 does not allow, are replaced."""
    return "".join(
        f' {name}="{escape(plain(str(value)), {chr(34): "&quot;"})}"'
        for name, value in given.items()
        if value is not None
    )
