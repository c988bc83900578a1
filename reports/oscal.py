"""OSCAL 1.2.1 (https://pages.nist.gov/OSCAL-Reference/models/v1.2.1/): ``oscal-assessment-results.json`` and ``oscal-poam.json``.

Assessment results: an observation for each rule, with what it found and where it could not look, and one for each target that
was not read in full. A control with open findings has a finding *not satisfied*. None is ever *satisfied*: rules look at a
part of a control, and whether a control is met is for an assessor to say.

Plan of action and milestones: an item and a risk for each finding that is open, accepted by an exception, or was not
observed. A missing item would say that the weakness is gone, so only resolved findings have none.

Ids are UUIDs of the content, so that the same night gives the same file. Control ids of NIST SP 800-53 are those of NIST's OSCAL
catalog (``ac-6.5``); other frameworks have no catalog, and their controls get a prefix (``cis-aws-1.13``).
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

import msgspec

from reports.stream import json_array, write_parts
from scanner.rule_texts import rules_in_force
from scanner.uncovered import coverage_sentence, uncovered_targets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from scanner.night import Night

VERSION = "1.2.1"
NAMESPACE = "https://sprawlscan.invalid/ns/oscal"
"""The namespace of the properties of this tool."""
_IDS = uuid.uuid5(uuid.NAMESPACE_URL, NAMESPACE)
_NIST = re.compile(r"([A-Z]{2}-\d{1,3})(?:\((\d{1,3})\))?")

_OBSERVATIONS = """
    SELECT r.rule, min(r.title) AS title, count(*) AS accounts,
           count(*) FILTER (WHERE r.status = 'evaluated') AS evaluated,
           count(*) FILTER (WHERE r.status = 'incomplete') AS incomplete,
           count(*) FILTER (WHERE r.status = 'not-evaluated') AS not_evaluated,
           count(*) FILTER (WHERE r.status = 'error') AS errors, min(r.reason) AS reason,
           coalesce(max(f.open), 0) AS open, coalesce(max(f.excepted), 0) AS excepted,
           coalesce(max(f.unobserved), 0) AS unobserved
    FROM rule_results AS r LEFT JOIN (
        SELECT rule, count(*) FILTER (WHERE status IN ('new', 'open', 'reopened')) AS open,
               count(*) FILTER (WHERE status = 'excepted') AS excepted,
               count(*) FILTER (WHERE status IN ('unobserved', 'error')) AS unobserved
        FROM findings GROUP BY 1
    ) AS f ON f.rule = r.rule
    GROUP BY r.rule ORDER BY r.rule
"""

_CITED = """
    SELECT control, rule, count(*) FILTER (WHERE status IN ('new', 'open', 'reopened')) AS open,
           count(*) FILTER (WHERE status IN ('unobserved', 'error')) AS unobserved
    FROM (SELECT unnest(controls) AS control, rule, status FROM findings WHERE status NOT IN ('resolved', 'excepted'))
    GROUP BY ALL ORDER BY control, rule
"""

_ITEMS = """
    SELECT f.*, e.expires_at, e.reason AS accepted_because, e.ticket, e.approved_by
    FROM findings AS f LEFT JOIN exceptions AS e ON e.id = f.exception_id
    WHERE f.status <> 'resolved'
"""
"""In the order of the analysis, most urgent first: a sort would hold every finding in memory."""


def write(night: Night, folder: Path) -> list[Path]:
    """Write both files; no plan of action if there is no finding. Returns their paths."""
    results, plan = folder / "oscal-assessment-results.json", folder / "oscal-poam.json"
    write_parts(results, _assessment_results(night))
    if not night.one("SELECT count(*) FROM findings WHERE status <> 'resolved'"):
        plan.unlink(missing_ok=True)
        return [results]
    write_parts(plan, _plan(night))
    return [results, plan]


def control_id(reference: str) -> str:
    """Return the OSCAL token of a cited control: ``NIST 800-53 r5.2.0: AC-6(5)`` is ``ac-6.5``."""
    framework, _, code = reference.partition(": ")
    nist = _NIST.fullmatch(code)
    if framework.startswith("NIST 800-53") and nist:
        return nist[1].lower() + (f".{nist[2]}" if nist[2] else "")
    name = re.sub(r" [^ ]*\d[^ ]*$", "", framework)  # without the version, as catalogs have it
    return re.sub(r"[^a-z0-9.]+", "-", f"{name} {code}".lower()).strip("-")


def _id(*parts: str) -> str:
    return str(uuid.uuid5(_IDS, "\x1f".join(parts)))


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _metadata(night: Night, title: str) -> dict[str, Any]:
    return {
        "title": title,
        "last-modified": _time(night.as_of),
        "version": night.run_id,
        "oscal-version": VERSION,
    }


def _property(name: str, value: object) -> dict[str, str]:
    # A property's value begins and ends with a character that is no space.
    return {"name": name, "ns": NAMESPACE, "value": " ".join(str(value).split()) or "-"}


def _assessment_results(night: Night) -> Iterator[bytes]:
    texts = rules_in_force(night)
    cited = sorted(
        {control_id(str(one)) for text in texts.values() for found in text.controls.values() for one in found}
    )
    uncovered = uncovered_targets(night)
    scan = _id("scan", night.run_id)
    result: dict[str, Any] = {
        "uuid": _id("result", night.run_id),
        "title": f"Run {night.run_id}",
        "description": f"Rules evaluated over a sealed snapshot. {coverage_sentence(night, uncovered)}",
        "start": _time(night.as_of),
        "end": _time(night.as_of),
        "props": [_property("coverage-complete", str(not uncovered and not night.manifest.partial).lower())],
        "reviewed-controls": {
            "control-selections": [
                {"include-controls": [{"control-id": one} for one in cited]} if cited else {"include-all": {}}
            ]
        },
        "observations": [*_coverage_observations(night), *_rule_observations(night)],
    }
    findings = list(_control_findings(night))
    if findings:
        result["findings"] = findings
    yield msgspec.json.encode(
        {
            "assessment-results": {
                "uuid": _id("assessment-results", night.run_id),
                "metadata": _metadata(night, "sprawlscan assessment results"),
                "import-ap": {"href": f"#{scan}"},
                "results": [result],
                "back-matter": {
                    "resources": [
                        {
                            "uuid": scan,
                            "title": "Nightly scan",
                            "description": "An automated inventory; there is no assessment plan beyond the configuration.",
                            "props": [_property("config-digest", night.manifest.config_digest)],
                        }
                    ]
                },
            }
        }
    )
    yield b"\n"


def _coverage_observations(night: Night) -> Iterator[dict[str, Any]]:
    uncovered = uncovered_targets(night)
    yield _observation(
        night, "coverage", "Coverage of the run", coverage_sentence(night, uncovered), ["coverage"], props=[]
    )
    for target in uncovered:
        yield _observation(
            night, f"coverage/{target.id}", f"{target.name} was not read in full", str(target), ["coverage"],
            props=[_property("target-state", target.state)],
        )  # fmt: skip


def _observation(
    night: Night, key: str, title: str, description: str, types: list[str], *, props: list[dict[str, str]]
) -> dict[str, Any]:
    return {
        "uuid": _id("observation", night.run_id, key),
        "title": title,
        "description": description,
        **({"props": props} if props else {}),
        "methods": ["TEST"],
        "types": types,
        "collected": _time(night.as_of),
    }


def _rule_observations(night: Night) -> Iterator[dict[str, Any]]:
    for row in night.dicts(_OBSERVATIONS):
        parts = [f"{row['open']} open findings"]
        parts += [f"{row['excepted']} accepted by exceptions"] if row["excepted"] else []
        parts += (
            [f"{row['unobserved']} of earlier runs not observed in this one"] if row["unobserved"] else []
        )
        text = f"{', '.join(parts)}. All inputs were read in {row['evaluated']} of {row['accounts']} accounts"
        if row["evaluated"] < row["accounts"]:
            text += f"; elsewhere that nothing was found proves nothing ({row['reason']})"
        counts = {
            "accounts": row["accounts"], "accounts-evaluated": row["evaluated"], "accounts-incomplete": row["incomplete"],
            "accounts-not-evaluated": row["not_evaluated"], "accounts-with-error": row["errors"],
            "findings-open": row["open"], "findings-accepted": row["excepted"], "findings-not-observed": row["unobserved"],
        }  # fmt: skip
        props = [_property(name, value) for name, value in counts.items()]
        types = ["finding" if row["open"] or row["unobserved"] else "control-objective"]
        yield _observation(night, f"rule/{row['rule']}", f"{row['rule']}: {row['title']}", f"{text}.", types, props=props)  # fmt: skip


def _control_findings(night: Night) -> Iterator[dict[str, Any]]:
    """Yield a finding for each cited control that counts against it; none is ever satisfied."""
    by_control: dict[str, list[dict[str, Any]]] = {}
    for row in night.dicts(_CITED):
        by_control.setdefault(row["control"], []).append(row)
    observed = {row["rule"] for row in night.dicts("SELECT DISTINCT rule FROM rule_results")}
    for reference, rows in by_control.items():
        count, unobserved = sum(row["open"] for row in rows), sum(row["unobserved"] for row in rows)
        text = f"{count} open findings" + (
            f" and {unobserved} that were not observed in this run" if unobserved else ""
        )
        token = control_id(reference)
        finding: dict[str, Any] = {
            "uuid": _id("finding", night.run_id, reference),
            "title": f"{reference}: findings count against it",
            "description": f"{text}, of the rules {', '.join(row['rule'] for row in rows)}.",
            "target": {
                "type": "statement-id",
                "target-id": f"{token}_smt",
                "status": {"state": "not-satisfied", "reason": "fail" if count else "other"},
            },
        }
        related = [
            {"observation-uuid": _id("observation", night.run_id, f"rule/{row['rule']}")}
            for row in rows
            if row["rule"] in observed
        ]
        if related:
            finding["related-observations"] = related
        yield finding


def _plan(night: Night) -> Iterator[bytes]:
    head = {
        "uuid": _id("plan", night.run_id),
        "metadata": _metadata(night, "sprawlscan plan of action and milestones")
        | {"remarks": coverage_sentence(night, uncovered_targets(night))},
        "system-id": {"identifier-type": NAMESPACE, "id": "sprawlscan"},
    }
    yield b'{"plan-of-action-and-milestones":' + msgspec.json.encode(head)[:-1] + b',"risks":'
    yield from json_array(_risk(row) for row in night.dicts(_ITEMS))
    yield b',"poam-items":'
    yield from json_array(_item(row) for row in night.dicts(_ITEMS))
    yield b"}}\n"


def _risk(row: dict[str, Any]) -> dict[str, Any]:
    deadline = row["expires_at"] if row["status"] == "excepted" else row["due_at"]
    risk: dict[str, Any] = {
        "uuid": _id("risk", row["id"]),
        "title": row["title"],
        "description": row["detail"],
        "statement": row["blast"] or row["title"],
        "props": [_property("severity", row["severity"]), _property("finding-status", row["status"])],
        "status": "deviation-approved" if row["status"] == "excepted" else "open",
    }
    if deadline is not None:
        risk["deadline"] = _time(deadline)
    risk["remediations"] = [
        {
            "uuid": _id("remediation", row["id"]),
            "lifecycle": "recommendation",
            "title": "Fix",
            "description": row["fix"],
        }
    ]
    return risk


def _item(row: dict[str, Any]) -> dict[str, Any]:
    text = row["detail"]
    if row["status"] in ("unobserved", "error"):
        text = f"Not observed in this run ({row['not_observed'] or 'its rule failed'}); as last seen: {text}"
    if row["status"] == "excepted":
        text = f"Accepted by {row['exception_id']}: {row['accepted_because'] or 'no reason given'}. {text}"
    given = {
        "finding-id": row["id"], "rule": row["rule"], "severity": row["severity"], "finding-status": row["status"],
        "account": row["account_name"] or row["account_id"], "subject": row["subject"], "owner": row["owner"],
        "exception": row["exception_id"] if row["status"] == "excepted" else None, "ticket": row["ticket"],
        "first-seen": _time(row["first_seen"]),
    }  # fmt: skip
    return {
        "uuid": _id("item", row["id"]),
        "title": f"{row['title']}: {row['subject_name']}",
        "description": text,
        "props": [_property(name, value) for name, value in given.items() if value is not None],
        "related-risks": [{"risk-uuid": _id("risk", row["id"])}],
    }
