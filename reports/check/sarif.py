"""SARIF 2.1.0."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from reports.check._results import LEVELS, fingerprint, numbered, unlinked
from scanner import __version__
from scanner.safe_text import plain
from scanner.sarif import LOCATIONS, RESULTS, SCHEMA

if TYPE_CHECKING:
    from scanner.checked import Checked, Occurrence, ReachChange


def text_of(checked: Checked) -> str:
    """Return SARIF 2.1.0 within the limits of GitHub: one run, at most 25,000 results. Nothing of a file is quoted."""
    shown = checked.found[: RESULTS - LOCATIONS]
    rules = list(dict.fromkeys(one.rule for one in shown))
    first = {one.rule: one for one in reversed(shown)}
    notes = [
        {"level": "warning", "message": {"text": f"Not read ({one.reason}): {unlinked(one.what)}"}}
        for one in checked.unread[:LOCATIONS]
    ]
    if len(checked.found) > len(shown):
        notes.append(
            {
                "level": "error",
                "message": {"text": f"{len(checked.found) - len(shown)} results are left out."},
            }
        )
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "sprawlscan",
                "semanticVersion": __version__,
                "rules": [
                    {
                        "id": rule,
                        "shortDescription": {"text": unlinked(first[rule].title)},
                        "fullDescription": {"text": unlinked(first[rule].why or first[rule].title)},
                        "help": {"text": unlinked(first[rule].why or first[rule].title)},
                        "defaultConfiguration": {"level": LEVELS[first[rule].severity]},
                        "properties": {"tags": ["security"]},
                    }
                    for rule in rules
                ],
            }
        },
        "automationDetails": {"id": "sprawlscan/check/"},
        "columnKind": "utf16CodeUnits",
        "invocations": [{"executionSuccessful": not checked.blind, "toolExecutionNotifications": notes}],
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "The root of the repository."}}},
        "results": [
            *(_reach(change) for change in checked.reach[:LOCATIONS]),
            *(_result(one, rules.index(one.rule), number) for one, number in numbered(shown)),
        ],
    }
    return msgspec.json.encode({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}).decode()


def _reach(change: ReachChange) -> dict[str, Any]:
    place: dict[str, Any] = {"logicalLocations": [{"name": plain(change.pipeline), "kind": "resource"}]}
    if change.path is not None:
        place["physicalLocation"] = {
            "artifactLocation": {"uri": quote(change.path, safe="/"), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": change.line or 1},
        }
    same = hashlib.sha256(
        f"{change.path}\0{change.pipeline}\0{change.power}\0{change.account}".encode()
    ).hexdigest()
    return {
        "ruleId": "reach",
        "level": "error",
        "message": {"text": unlinked(change.sentence())},
        "locations": [place],
        "partialFingerprints": {"primaryLocationLineHash": f"{same[:16]}:1"},
    }


def _result(one: Occurrence, index: int, number: int) -> dict[str, Any]:
    place: dict[str, Any] = {"logicalLocations": [{"name": plain(one.subject), "kind": "resource"}]}
    if one.path is not None:
        place["physicalLocation"] = {
            "artifactLocation": {"uri": quote(one.path, safe="/"), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": one.line or 1},
        }
    return {
        "ruleId": one.rule,
        "ruleIndex": index,
        "level": LEVELS[one.severity],
        "message": {"text": unlinked(f"{one.what}. Fix: {one.fix}")},
        "locations": [place],
        "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint(one)[:16]}:{number}"},
        "properties": {"findingId": one.finding_id, "severity": one.severity, "confidence": one.confidence},
    }
