"""Findings as SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html).

A finding has a physical location where its file and line are known: in a pipeline definition. All others have the
logical location of their subject.

Importers take the newest upload of a tool as the state of the world: an alert whose result is missing is closed
(https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning).
A finding that a run could not confirm is therefore a result like any other, and its message says that it was not
observed. Only resolved findings are left out. What was not read stands in the notifications of the invocation.

Nothing of a file is quoted, because it could hold a secret.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import msgspec

from scanner.findings import SEVERITIES
from scanner.rule_texts import rules_in_force
from scanner.safe_text import plain
from scanner.uncovered import uncovered_targets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from scanner.night import Night
    from scanner.rule_texts import RuleText

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

RUNS = 20
"""The most runs that GitHub takes from one file
(https://docs.github.com/en/code-security/code-scanning/troubleshooting-sarif-uploads/results-exceed-limit)."""
RESULTS = 25_000
"""The most results that it takes from one run."""
LOCATIONS = 100
"""The most locations of a result that it shows; it takes 1,000."""

_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
_SECURITY_SEVERITY = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0"}
"""GitHub's bands: over 9.0 critical, 7.0 to 8.9 high, 4.0 to 6.9 medium, 0.1 to 3.9 low."""
_BASELINE = {"new": "new", "reopened": "new"}

_PLACE = re.compile(r"([^\s:/][^:\n]{0,400}):([1-9]\d{0,6})")
"""``path:line``, where the path is relative to its repository."""

REPORTED = "status <> 'resolved'"
"""The SQL condition of findings that are results."""

FINDINGS = """
    SELECT f.*, i.location FROM findings AS f
    LEFT JOIN (SELECT id, location FROM identities WHERE location IS NOT NULL) AS i ON i.id = f.subject
"""
"""Findings with the place of the definition of their subject: the rows that `sarif_file` takes."""


class FilePlace(NamedTuple):
    """A line of a file of the finding's repository."""

    path: str
    line: int


def places(row: Mapping[str, Any]) -> list[FilePlace]:
    """Return the lines that a finding is about, the first one first; none if it is not about a file.

    ``row`` is a row of `FINDINGS`.
    """
    given = (row["evidence"] or {}).get("lines") or ""
    texts = given.split(", ")
    if row["subject_table"] == "secrets" and row["subject_kind"] == "ci-file":
        texts.append(row["resource"] or "")
    found = _places(texts)
    if not found and row["subject_table"] == "identities":
        found = _places([row["location"] or ""])
    return found[:LOCATIONS]


def _places(texts: Iterable[str]) -> list[FilePlace]:
    matches = [match for text in texts if (match := _PLACE.fullmatch(text.strip()))]
    # A path that leads out of the repository is none.
    kept = [(match[1], int(match[2])) for match in matches if ".." not in match[1].split("/")]
    return [FilePlace(path, line) for path, line in dict.fromkeys(kept)]


def sarif_file(
    night: Night, rows: Iterable[Mapping[str, Any]], name: str, repository: str | None = None
) -> Iterator[bytes]:
    """Yield the parts of a SARIF file. Its findings are read one by one.

    ``rows`` are rows of `FINDINGS`. ``name`` is the category under which an importer keeps the
    results, ``repository`` the address of the repository that the paths belong to. Up to 25,000 results are one run; a
    file has at most 20 runs, and the last one says how many findings were left out.
    """
    texts = rules_in_force(night)
    notifications = list(_notifications(night))
    yield b'{"$schema":' + msgspec.json.encode(SCHEMA) + b',"version":"2.1.0","runs":['
    results = iter(rows)
    row = next(results, None)
    number = 0
    while number == 0 or (row is not None and number < RUNS):
        number += 1
        yield b"," * (number > 1) + b'{"results":['
        count = 0
        rules: dict[str, dict[str, Any]] = {}
        while row is not None and count < RESULTS:
            if row["rule"] not in rules:
                rules[row["rule"]] = _rule(row, texts.get(row["rule"]))
            yield b"," * (count > 0) + msgspec.json.encode(_result(row, list(rules).index(row["rule"])))
            count += 1
            row = next(results, None)
        left_out = 0
        if number == RUNS and row is not None:
            left_out = 1 + sum(1 for _ in results)
            row = None
        yield b"]," + msgspec.json.encode(
            _run(night, notifications, list(rules.values()), f"{name}-{number}" if number > 1 else name,
                 repository=repository, left_out=left_out)
        )[1:]  # fmt: skip
    yield b"]}\n"


def _run(
    night: Night, notifications: list[dict[str, Any]], rules: list[dict[str, Any]], name: str,
    *, repository: str | None, left_out: int,
) -> dict[str, Any]:  # fmt: skip
    """Return a run without its results."""
    if left_out:
        text = f"{left_out} findings are left out: a file holds at most {RUNS * RESULTS} results."
        notifications = [*notifications, _notification("results-left-out", "error", text)]
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "sprawlscan",
                "semanticVersion": night.manifest.tool_version,
                "rules": rules,
                "notifications": [
                    {"id": one} for one in sorted({notification["descriptor"]["id"] for notification in notifications})
                ],
            }
        },
        # GitHub takes what follows the last slash for the id of a run, and the rest for the category.
        "automationDetails": {"id": f"sprawlscan/{name}/{night.run_id}"},
        "columnKind": "utf16CodeUnits",
        "invocations": [
            {
                "executionSuccessful": not night.manifest.partial and night.coverage.unread == 0,
                "endTimeUtc": night.as_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "toolExecutionNotifications": notifications,
            }
        ],
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "The root of the repository."}}},
    }  # fmt: skip
    if repository is not None:
        run["versionControlProvenance"] = [{"repositoryUri": repository}]
    return run


def _notification(kind: str, level: str, text: str, rule: str | None = None) -> dict[str, Any]:
    notification: dict[str, Any] = {
        "descriptor": {"id": kind},
        "level": level,
        "message": {"text": _message(text)},
    }
    if rule is not None:
        notification["associatedRule"] = {"id": rule}
    return notification


_RULES_WITHOUT_RESULT = """
    SELECT rule, count(*) FILTER (WHERE status = 'error') AS errors,
           count(*) FILTER (WHERE status IN ('incomplete', 'not-evaluated')) AS unknown, min(reason) AS reason
    FROM rule_results WHERE status <> 'evaluated' GROUP BY rule ORDER BY rule
"""


def _notifications(night: Night) -> Iterator[dict[str, Any]]:
    """Yield what was not read, and the rules that could not look everywhere."""
    levels = {"unread": "error", "partial": "warning", "not-requested": "note"}
    if night.manifest.partial:
        yield _notification("run-stopped", "error", "The run was stopped before all targets finished.")
    for target in uncovered_targets(night):
        yield _notification(f"target-{target.state}", levels[target.state], str(target))
    for rule, errors, unknown, reason in night.rows(_RULES_WITHOUT_RESULT):
        if errors:
            yield _notification("rule-failed", "error", f"The rule {rule} failed: {reason}.", rule)
        if unknown:
            text = f"In {unknown} accounts the rule {rule} did not have all inputs: that it found nothing there proves nothing ({reason})."
            yield _notification("rule-incomplete", "warning", text, rule)


def _rule(row: Mapping[str, Any], text: RuleText | None) -> dict[str, Any]:
    """Return the description of a finding's rule. ``text`` is None for one that is no longer in force."""
    rule, title, severity = row["rule"], row["title"], row["severity"]
    why = fix = ""
    category: list[str] = []
    if text is not None:
        title, severity = text.title or title, text.severity or severity
        why, fix = " ".join(text.why.split()), " ".join(text.fix.split())
        category = [text.category] if text.category else []
    properties: dict[str, Any] = {"tags": ["security", *category], "precision": "high"}
    if severity in _SECURITY_SEVERITY:
        properties["security-severity"] = _SECURITY_SEVERITY[severity]
    return {
        "id": rule,
        "name": "".join(part.capitalize() for part in rule.split("-")),
        "shortDescription": {"text": _message(title)},
        "fullDescription": {"text": _message(why or title)},
        "help": {
            "text": _message(f"{why} Fix: {fix}" if fix else title),
            "markdown": _markdown(title, why, fix),
        },
        "defaultConfiguration": {"level": _LEVELS.get(severity, "note")},
        "properties": properties,
    }


def _markdown(title: str, why: str, fix: str) -> str:
    """Return a rule's help. The texts are the rule's own, and not of a provider."""
    return f"{why or title}\n\n**Fix:** {fix}" if fix else why or title


def _message(text: str) -> str:
    """Return text as SARIF shows it: names from providers cannot make a link of it."""
    return plain(text).replace("](", "] (") or "-"


def _result(row: Mapping[str, Any], rule_index: int) -> dict[str, Any]:
    status = row["status"]
    text = row["detail"]
    if row["subject_name"] not in text:
        text = f"{row['subject_name']}: {text}"
    if status in ("unobserved", "error"):
        text = f"Not observed in this run ({row['not_observed'] or 'its rule failed'}); as last seen: {text}"
    logical = {
        "fullyQualifiedName": row["subject"],
        "name": plain(row["subject_name"]),
        "kind": "resource",
    }
    found = places(row)
    locations: list[dict[str, Any]] = [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": quote(place.path, safe="/"), "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": place.line},
            },
            "logicalLocations": [logical],
        }
        for place in found
    ]
    result: dict[str, Any] = {
        "ruleId": row["rule"],
        "ruleIndex": rule_index,
        "level": _LEVELS[row["severity"]],
        "kind": "fail",
        "message": {"text": _message(text)},
        # GitHub reads all lines of a finding as places of one alert.
        "locations": locations[:1] or [{"logicalLocations": [logical]}],
        "partialFingerprints": {
            "sprawlscanFindingId/v1": row["id"],
            "primaryLocationLineHash": _line_hash(row["id"]),
        },
        "baselineState": _BASELINE.get(status, "unchanged"),
        "properties": {
            name: value
            for name, value in (
                ("findingId", row["id"]), ("severity", row["severity"]), ("status", status),
                ("notObserved", row["not_observed"]), ("account", row["account_name"] or row["account_id"]),
                ("owner", row["owner"]), ("confidence", row["confidence"]), ("fix", row["fix"]), ("url", row["url"]),
                ("controls", row["controls"] or None),
            )
            if value is not None
        },
    }  # fmt: skip
    if len(locations) > 1:
        result["relatedLocations"] = [
            {"id": number, **place} for number, place in enumerate(locations[1:], 1)
        ]
    if status == "excepted":
        result["suppressions"] = [
            {
                "kind": "external",
                "status": "accepted",
                "justification": f"Accepted by the exception {row['exception_id']}.",
            }
        ]
    return result


def _line_hash(finding_id: str) -> str:
    """Return what GitHub identifies an alert by: 16 hex digits and a count. Line numbers do not change it."""
    return f"{hashlib.sha256(finding_id.encode()).hexdigest()[:16]}:1"


def by_severity(
    night: Night, where: str = "true", params: dict[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `FINDINGS` that meet a condition, most severe first, without a sort that would hold all of them."""
    for severity in SEVERITIES:
        yield from night.dicts(
            f"SELECT * FROM ({FINDINGS}) WHERE severity = '{severity}' AND {where}", params
        )


def most_urgent_first() -> str:
    """Return the SQL of the order of results: GitHub keeps the first 5,000 of a run by severity."""
    ranks = " ".join(f"WHEN '{severity}' THEN {rank}" for rank, severity in enumerate(SEVERITIES))
    return f"CASE severity {ranks} END, id"
