"""Identities and the steps between them for BloodHound: ``opengraph.json``, in its generic ingest format
(https://bloodhound.specterops.io/opengraph/schema).

Nodes are identities, accounts and the run itself; edges lead from an identity to those that it can become, and from an
account to its identities. What an identity reaches is not exported: BloodHound searches paths itself. An upload deletes
nothing, so every node and edge has the run that last saw it (``sprawl_lastrun``).

A node without ``sprawl_observed`` true was not listed by this run. The node of the run says how much was read, and the nodes
of accounts that were not read say why: no edge in such an account means that nobody looked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reports.grc_rows import ACCOUNTS
from reports.stream import json_array, write_parts
from scanner.uncovered import coverage_sentence, uncovered_targets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scanner.night import Night

SOURCE = "SprawlBase"
"""The kind that all nodes of this source have."""

_EDGES = {
    "trust": "Sprawl_CanBecome",
    "trust-pattern": "Sprawl_CanBecome",
    "uses": "Sprawl_Uses",
    "holds-key": "Sprawl_HoldsKeyOf",
    "runs_as": "Sprawl_RunsAs",
    "member_of": "Sprawl_MemberOf",
    "escalation": "Sprawl_EscalatesTo",
}
"""The kind of a step, by `Edge.kind`."""
_SURFACES = {"human": "Sprawl_Person", "automation": "Sprawl_Automation", "artifact": "Sprawl_Artifact", "workload": "Sprawl_Workload"}  # fmt: skip

_IDENTITIES = """
    WITH powers AS (
        SELECT identity_id, list_sort(list_distinct(flatten(list(powers)))) AS powers,
               max(CASE level WHEN 'admin' THEN 4 WHEN 'escalation' THEN 3 WHEN 'write' THEN 2 WHEN 'read' THEN 1
                   ELSE 0 END) AS level
        FROM grants GROUP BY 1
    ), listed AS (
        SELECT id, provider, account_id, surface, kind, name, native_id, owner, environment, enabled, true AS observed
        FROM identities UNION ALL BY NAME
        SELECT id, provider, account_id, surface, kind, name, native_id, false AS observed, last_seen
        FROM population WHERE "table" = 'identities' AND removed_at IS NULL AND id NOT IN (SELECT id FROM identities)
    )
    SELECT l.*, p.powers, p.level FROM listed AS l LEFT JOIN powers AS p ON p.identity_id = l.id
    UNION ALL BY NAME
    SELECT DISTINCT id, false AS observed FROM (
        SELECT source_id AS id FROM edges UNION SELECT target_id FROM edges
    ) WHERE id NOT IN (SELECT id FROM listed)
    ORDER BY id
"""
_LEVELS = ("unknown", "read", "write", "escalation", "admin")


def write(night: Night, folder: Path) -> list[Path]:
    """Write ``opengraph.json``. Returns its path."""
    path = folder / "opengraph.json"
    write_parts(path, _parts(night))
    return [path]


def _parts(night: Night) -> Iterator[bytes]:
    yield b'{"metadata":{"source_kind":"' + SOURCE.encode() + b'"},"graph":{"nodes":'
    yield from json_array(_nodes(night))
    yield b',"edges":'
    yield from json_array(_edges(night))
    yield b"}}\n"


def _nodes(night: Night) -> Iterator[dict[str, Any]]:
    uncovered = uncovered_targets(night)
    yield _node(f"sprawlscan:run:{night.run_id}", "Sprawl_Run", night.run_id, {
        "sprawl_asof": night.as_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "sprawl_complete": not uncovered and not night.manifest.partial,
        "sprawl_coverage": coverage_sentence(night, uncovered),
        "sprawl_uncovered": [str(one) for one in uncovered] or None,
        "sprawl_lastrun": night.run_id,
    })  # fmt: skip
    for row in night.dicts(ACCOUNTS):
        yield _node(row["id"], "Sprawl_Account", row["name"], {
            "sprawl_provider": row["provider"], "sprawl_kind": row["kind"], "sprawl_owner": row["owner"],
            "sprawl_environment": row["environment"], "sprawl_coverage": row["state"], "sprawl_reason": row["reason"],
            "sprawl_needs": row["needs"], "sprawl_observed": row["observed"], "sprawl_lastrun": night.run_id,
        })  # fmt: skip
    for row in night.dicts(_IDENTITIES):
        yield _node(row["id"], _SURFACES.get(row["surface"] or "", "Sprawl_Identity"), row["name"] or row["id"], {
            "sprawl_provider": row["provider"], "sprawl_kind": row["kind"], "sprawl_nativeid": row["native_id"],
            "sprawl_account": row["account_id"], "sprawl_owner": row["owner"], "sprawl_environment": row["environment"],
            "sprawl_enabled": row["enabled"], "sprawl_powers": row["powers"] or None,
            "sprawl_level": _LEVELS[row["level"]] if row["level"] is not None else None,
            "sprawl_observed": row["observed"],
            "sprawl_lastrun": night.run_id if row["observed"] else row["last_seen"],
        })  # fmt: skip


def _node(uid: str, kind: str, name: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"id": uid, "kinds": [kind, SOURCE], "properties": _given({"name": name, **properties})}


def _given(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the properties that have a value: the format allows no null."""
    return {name: value for name, value in properties.items() if value is not None}


def _edges(night: Night) -> Iterator[dict[str, Any]]:
    run = {"sprawl_lastrun": night.run_id}
    for account, state in night.rows(
        "SELECT account_id, min(state) FROM target_coverage GROUP BY 1 ORDER BY 1"
    ):
        yield _edge(
            f"sprawlscan:run:{night.run_id}", account, "Sprawl_Covered", {"sprawl_coverage": state} | run
        )
    parents = (
        "SELECT a.parent_id, a.id FROM accounts AS a JOIN accounts AS p ON p.id = a.parent_id ORDER BY a.id"
    )
    for parent, uid in night.rows(parents):
        yield _edge(parent, uid, "Sprawl_Contains", run)
    known = "SELECT id FROM accounts UNION SELECT account_id FROM target_coverage"
    query = f"SELECT account_id, id, observed, last_seen FROM ({_IDENTITIES}) WHERE account_id IN ({known}) ORDER BY id"
    for account, uid, observed, last_seen in night.rows(query):
        yield _edge(account, uid, "Sprawl_Contains", run if observed else {"sprawl_lastrun": last_seen})
    # One edge for each pair and kind: BloodHound keeps no more.
    query = """
        SELECT source_id, target_id, kind, any_value(why ORDER BY evidence) AS why,
               any_value(via ORDER BY evidence) AS via, any_value(evidence ORDER BY evidence) AS evidence,
               max(confidence = 'high') AS sure, count(*) AS ways
        FROM edges GROUP BY source_id, target_id, kind ORDER BY source_id, target_id, kind
    """
    for row in night.dicts(query):
        properties = {
            "sprawl_why": row["why"], "sprawl_via": row["via"], "sprawl_evidence": row["evidence"],
            "sprawl_confidence": "high" if row["sure"] else "low", "sprawl_ways": row["ways"],
            "sprawl_step": row["kind"],
        }  # fmt: skip
        yield _edge(row["source_id"], row["target_id"], _EDGES[row["kind"]], _given(properties) | run)


def _edge(start: str, end: str, kind: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "start": {"match_by": "id", "value": start},
        "end": {"match_by": "id", "value": end},
        "kind": kind,
        "properties": properties,
    }
