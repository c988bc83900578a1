"""Which files the CSV export has, and what stands in their columns: SQL over a night's views.

Keys come first. The main files hold nothing that changes by itself: no ages, no run id. Columns are only ever added at
the end, before ``schema_version``; a change of meaning gets a new file name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from scanner.analyze.framework import EVERY

if TYPE_CHECKING:
    from scanner.night import Night

_FINDING = {
    "finding_id": "f.id",
    "rule_id": "f.rule",
    "rule_version": "f.rule_version",
    "category": "f.category",
    "title": "f.title",
    "severity": "f.severity",
    "status": "f.status",
    "provider": "f.provider",
    "tenant_id": "coalesce(p.tenant_id, f.account_id)",
    "scope_id": "f.account_id",
    "scope_name": "f.account_name",
    "identity_id": "f.identity_id",
    "identity_type": "f.surface",
    "identity_name": "f.identity_name",
    "credential_id": "f.credential_id",
    "credential_type": "CASE WHEN f.subject_table = 'credentials' THEN f.subject_kind END",
    "grant_id": "f.grant_id",
    "resource_id": "f.resource",
    "owner": "f.owner",
    "owner_source": "f.owner_source",
    "environment": "f.environment",
    "first_seen_at": "f.first_seen",
    "status_changed_at": "f.changed_at",
    "due_at": "f.due_at",
    "evidence_summary": "f.detail",
    "impact": "f.blast",
    "remediation": "f.fix",
    "remediation_url": "f.url",
    "control_refs": "nullif(concat_ws('|', r.controls, s.controls), '')",
    "exception_id": "f.exception_id",
    "evidence_ref": "f.subject_table || '/' || f.subject",
    "subject_name": "f.subject_name",
    "path": "array_to_string(f.path, ' > ')",
    "confidence": "f.confidence",
}

_FINDINGS_FROM = f"""
    findings f LEFT JOIN tenants p ON p.account_id = f.account_id
    LEFT JOIN rule_controls r ON r.rule = f.rule AND r.provider = '{EVERY}'
    LEFT JOIN rule_controls s ON s.rule = f.rule AND s.provider = f.provider
"""

_HEADERS = {
    field: header for header, sql in _FINDING.items() if (field := sql.removeprefix("f.")).isidentifier()
} | {"path": "path"}
"""Fields of `Finding` under the names that they have here."""

_CHANGED = f"""array_to_string(list_concat(
    CASE WHEN f.previous_status IS NOT NULL AND f.status <> f.previous_status THEN ['status'] ELSE [] END,
    [MAP {_HEADERS}[name] FOR name IN f.changed]), '|')"""

_DELTA = {
    # What is open and was something else has changed, like what has another owner.
    "change_type": "CASE WHEN f.status IS NOT DISTINCT FROM f.previous_status OR f.status = 'open' THEN 'changed' "
    "ELSE f.status END",
    "previous_status": "f.previous_status",
    "changed_fields": f"nullif({_CHANGED}, '')",
    "run_id": "$run_id",
    "observed_at": "$as_of::TIMESTAMP",
    **_FINDING,
}

_IDENTITIES = {
    "identity_id": "i.id",
    "provider": "i.provider",
    "tenant_id": "coalesce(p.tenant_id, i.account_id)",
    "scope_id": "i.account_id",
    "scope_name": "p.name",
    "native_id": "i.native_id",
    "name": "i.name",
    "identity_type": "i.surface",
    "subtype": "i.kind",
    "is_human": "i.surface = 'human'",
    "enabled": "i.enabled",
    "created_at": "i.created_at",
    "last_used_at": "i.last_used_at",
    "last_used_source": "CASE WHEN i.last_used_at IS NOT NULL THEN i.provider END",
    "usage_known": "i.last_used_at IS NOT NULL OR coalesce(i.never_used, false)",
    "owner": "i.owner",
    "owner_source": "i.owner_source",
    "environment": "i.environment",
    "tags": "array_to_string(list_sort([e.key || '=' || e.value FOR e IN map_entries(i.tags)]), '|')",
    "federation_issuer": "i.issuer",
    "credential_count": "coalesce(c.n, 0)",
    "grant_count": "coalesce(g.n, 0)",
    "max_privilege": "g.level",
    "open_findings": "coalesce(o.n, 0)",
    "highest_severity": "o.severity",
    "address": "i.address",
    "never_used": "i.never_used",
}

_WORST = """CASE min(CASE severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 WHEN 'low' THEN 3
            ELSE 4 END) WHEN 0 THEN 'critical' WHEN 1 THEN 'high' WHEN 2 THEN 'medium' WHEN 3 THEN 'low' ELSE 'info' END"""

_LEVEL = """CASE min(CASE level WHEN 'admin' THEN 0 WHEN 'escalation' THEN 1 WHEN 'write' THEN 2 WHEN 'unknown' THEN 3
            ELSE 4 END) WHEN 0 THEN 'admin' WHEN 1 THEN 'escalation' WHEN 2 THEN 'write' WHEN 3 THEN 'unknown'
            ELSE 'read' END"""

_COUNTS = {
    "credential_counts": "SELECT identity_id, count(*) AS n FROM credentials GROUP BY 1",
    "grant_counts": f"SELECT identity_id, count(*) AS n, {_LEVEL} AS level FROM grants GROUP BY 1",
    "finding_counts": f"""SELECT identity_id, count(*) AS n, {_WORST} AS severity FROM findings
                          WHERE status IN ('new', 'open', 'reopened') GROUP BY 1""",
}


def _with_gone(table: str, gone: str) -> str:
    """Return a table's records with what is gone, of which little more is known than the columns ``gone``."""
    return f"""(SELECT * FROM {table} UNION ALL BY NAME
        SELECT id, split_part(id, ':', 1) AS provider, account_id, {gone} FROM population
        WHERE "table" = '{table}' AND removed_at IS NOT NULL)"""


def _since(table: str, alias: str) -> str:
    """Return the join that gives a record its `Member` row, as ``m``."""
    return f""" LEFT JOIN population m ON m."table" = '{table}' AND m.id = {alias}.id"""


_NATIVE_ID = "regexp_extract(id, '^[^:]+:[^:]+:(.*)$', 1) AS native_id"
_SINCE = {"first_seen_at": "m.first_seen", "removed_at": "m.removed_at"}

_IDENTITIES_FROM = f"""
    {_with_gone("identities", f"kind, name, surface, {_NATIVE_ID}")} i LEFT JOIN tenants p ON p.account_id = i.account_id
    LEFT JOIN credential_counts c ON c.identity_id = i.id
    LEFT JOIN grant_counts g ON g.identity_id = i.id
    LEFT JOIN finding_counts o ON o.identity_id = i.id {_since("identities", "i")}
"""

_CREDENTIALS = {
    "credential_id": "c.id",
    "identity_id": "c.identity_id",
    "provider": "c.provider",
    "tenant_id": "coalesce(p.tenant_id, c.account_id)",
    "scope_id": "c.account_id",
    "native_id": "c.native_id",
    "credential_type": "c.kind",
    "is_static": "c.lifetime = 'static'",
    "state": "CASE WHEN c.enabled THEN 'active' WHEN c.enabled = false THEN 'inactive' END",
    "created_at": "c.created_at",
    "rotated_at": "c.rotated_at",
    "expires_at": "c.expires_at",
    "last_used_at": "c.last_used_at",
    "last_used_service": "c.last_used_service",
    "usage_known": "c.last_used_at IS NOT NULL OR coalesce(c.never_used, false)",
    "location": "c.location",
    "scopes": "array_to_string(c.scopes, '|')",
    "owner": "coalesce(c.owner, i.owner)",
    "never_used": "c.never_used",
    "never_expires": "c.never_expires",
    "name": "c.name",
}

_SECRETS = {
    "secret_id": "s.id",
    "provider": "s.provider",
    "tenant_id": "coalesce(p.tenant_id, s.account_id)",
    "scope_id": "s.account_id",
    "scope_name": "p.name",
    "store": "s.store",
    "name": "s.name",
    "holder_id": "s.holder_id",
    "environment": "s.environment",
    "visibility": "s.visibility",
    "readable": "s.readable",
    "masked": "s.masked",
    "protected": "s.protected",
    "encrypted": "s.encrypted",
    "rotation_enabled": "s.rotation_enabled",
    "looks_like": "s.looks_like",
    "credential_id": "s.credential_id",
    "managed_by": "s.managed_by",
    "created_at": "s.created_at",
    "updated_at": "s.updated_at",
    "rotated_at": "s.rotated_at",
    "last_used_at": "s.last_used_at",
    "expires_at": "s.expires_at",
    "usage_known": "s.last_used_at IS NOT NULL OR coalesce(s.never_used, false)",
    "owner": "s.owner",
    "location": "s.location",
}

_GRANTS = {
    "grant_id": "g.id",
    "identity_id": "g.identity_id",
    "provider": "g.provider",
    "tenant_id": "coalesce(p.tenant_id, g.account_id)",
    "grant_type": "g.via",
    "role_name": "g.role",
    "scope_type": "g.breadth",
    "scope_id": "g.account_id",
    "resource_id": "g.resource",
    "privilege_level": "g.level",
    "powers": "array_to_string(g.powers, '|')",
    "wildcard": "g.wildcard",
    "actions": "array_to_string(g.actions, '|')",
    "unused_actions_count": "g.unused_actions",
    "condition_present": "g.conditional",
    "confidence": "g.confidence",
    "usage_known": "g.last_used_at IS NOT NULL OR coalesce(g.never_used, false)",
    "last_used_at": "g.last_used_at",
    "granted_at": "g.granted_at",
    "expires_at": "g.expires_at",
    "why": "g.why",
}

_EXCEPTIONS = {
    "exception_id": "e.id",
    "selector": "e.selector",
    "rule_id": "e.rule",
    "finding_id": "(SELECT string_agg(id, '|' ORDER BY id) FROM findings WHERE exception_id = e.id)",
    "reason": "e.reason",
    "compensating_control": "e.compensating_control",
    "ticket": "e.ticket",
    "approved_by": "e.approved_by",
    "approved_at": "e.approved_at",
    "expires_at": "e.expires_at",
    "state": "e.state",
    "matched_findings": "e.matched",
    "owner": "e.owner",
    "detail": "e.detail",
}

_METRICS = {
    "run_date": "strftime($as_of::TIMESTAMP, '%Y-%m-%d')",
    "metric": "metric",
    "dimension": "dimension",
    "dimension_value": "dimension_value",
    "value": "value",
    "unit": "unit",
}

_COVERAGE = {
    "run_id": "$run_id",
    "collector": "collector",
    "collector_version": "$version",
    "provider": "c.provider",
    "tenant_id": "coalesce(p.tenant_id, c.account_id)",
    "scope_id": "c.account_id",
    "scope_name": "p.name",
    "resource_kind": "c.\"table\" || coalesce('/' || c.kind, '')",
    "listing": "call",
    "region": "region",
    "status": "status",
    "items_collected": "items",
    "reason_code": "reason",
    "reason": "detail",
    "missing_permission": "needs",
    "data_as_of": "coalesce(c.carried_from, $as_of::TIMESTAMP)",
}

_COVERAGE_FROM = """
    (SELECT id, collector, provider, account_id, "table", kind, call, region, 'complete' AS status, items,
            NULL AS reason, NULL AS detail, NULL AS needs, carried_from FROM coverage
     UNION ALL
     SELECT id, collector, provider, account_id, "table", kind, call, region,
            CASE reason WHEN 'deadline' THEN 'skipped' WHEN 'truncated' THEN 'partial' ELSE 'failed' END, NULL,
            reason, detail, needs, NULL FROM gaps) c LEFT JOIN tenants p ON p.account_id = c.account_id
"""

_PLACES = "LEFT JOIN tenants p ON p.account_id ="


class Sheet(NamedTuple):
    """One file: its columns (header -> SQL), where they come from, and the key that its rows are sorted by."""

    name: str
    columns: dict[str, str]
    source: str
    key: str


SHEETS = (
    Sheet("findings", _FINDING, _FINDINGS_FROM, "f.id"),
    Sheet(
        "findings_delta",
        _DELTA,
        f"{_FINDINGS_FROM} WHERE f.status IS DISTINCT FROM f.previous_status OR len(f.changed) > 0",
        "f.id",
    ),
    Sheet("identities", _IDENTITIES | _SINCE, _IDENTITIES_FROM, "i.id"),
    Sheet(
        "credentials",
        _CREDENTIALS | _SINCE,
        f"""{_with_gone("credentials", f"kind, name, identity_id, {_NATIVE_ID}")} c {_PLACES} c.account_id
        LEFT JOIN identities i ON i.id = c.identity_id {_since("credentials", "c")}""",
        "c.id",
    ),
    Sheet("secrets", _SECRETS, f"secrets s {_PLACES} s.account_id", "s.id"),
    Sheet(
        "grants",
        _GRANTS | _SINCE,
        f"""{_with_gone("grants", "name AS role, identity_id")} g {_PLACES} g.account_id {_since("grants", "g")}""",
        "g.id",
    ),
    Sheet("exceptions", _EXCEPTIONS, "exceptions e", "e.id"),
    Sheet("metrics", _METRICS, "metrics", "metric || chr(31) || dimension || chr(31) || dimension_value"),
    Sheet("coverage", _COVERAGE, _COVERAGE_FROM, "c.id || c.status"),
)


def join_tables(night: Night) -> None:
    """Make the small tables that sheets join: the top account above each account, and the controls of each rule."""
    night.tables.con.execute("""
        CREATE OR REPLACE TABLE tenants AS
        WITH RECURSIVE up AS (
            SELECT id AS account_id, name, id AS tenant_id, parent_id, 0 AS steps FROM accounts
            UNION ALL
            SELECT up.account_id, up.name, a.id, a.parent_id, steps + 1
            FROM up JOIN accounts a ON a.id = up.parent_id WHERE steps < 12
        )
        SELECT account_id, any_value(name) AS name, arg_max(tenant_id, steps) AS tenant_id FROM up GROUP BY 1
    """)
    night.tables.con.execute(
        "CREATE OR REPLACE TABLE rule_controls (rule VARCHAR, provider VARCHAR, controls VARCHAR)"
    )
    path = night.analysis / "rules.json"
    rules = msgspec.json.decode(path.read_bytes()) if path.is_file() else []
    rows = [
        (rule["id"], provider, "|".join(controls))
        for rule in rules
        for provider, controls in rule["controls"].items()
    ]
    for name, query in _COUNTS.items():
        night.tables.con.execute(f"CREATE OR REPLACE TABLE {name} AS {query}")
    if rows:
        night.tables.con.executemany("INSERT INTO rule_controls VALUES (?, ?, ?)", rows)
