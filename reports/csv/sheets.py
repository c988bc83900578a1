"""Which files the CSV export has. Their columns are the fields of the records, and a few that are derived with SQL.

A field of a record is a column without any entry here. An entry is needed only for a column whose header is not the
field's name, for one that is derived, and for a field that is left out. The order of columns is kept in
``columns.json``, which ``make docs`` generates: what importers rely on never moves, and new columns are added at the
end, before ``schema_version``. A change of meaning gets a new file name.

The main files hold nothing that changes by itself: no ages, no run id.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from scanner.analyze.framework import EVERY
from scanner.findings import ExceptionState, Finding, Metric
from scanner.parquet import sql_columns
from scanner.records import Coverage, Credential, Gap, Grant, Identity, Secret

if TYPE_CHECKING:
    from scanner.night import Night

ORDER = Path(__file__).with_name("columns.json")
"""The order of each file's columns: ``{"findings": ["finding_id", ...], ...}``."""


class Derived(NamedTuple):
    """A column that is no field: SQL over the sheet's source, where ``r`` is the record, and what it means."""

    sql: str
    text: str


class Sheet(NamedTuple):
    """One file."""

    name: str
    records: tuple[type[msgspec.Struct], ...]
    """The classes whose fields are columns; where there are several, their rows stand in one file."""
    key: str
    """SQL for what rows are sorted by."""
    source: str
    """SQL after FROM; ``r`` is the record."""
    headers: dict[str, str]
    """Headers that are not the field's own name, by field."""
    derived: dict[str, Derived]
    """By header; takes the place of a field of that name."""
    left_out: frozenset[str] = frozenset()
    """Fields that are no columns."""

    def fields(self) -> dict[str, str]:
        """Return the fields that are columns as they are: header -> field."""
        names = dict.fromkeys(name for record in self.records for name in record.__struct_fields__)
        headers = {self.headers.get(name, name): name for name in names if name not in self.left_out}
        return {header: name for header, name in headers.items() if header not in self.derived}

    def columns(self) -> dict[str, str]:
        """Return header -> SQL in the order of the file. Raises LookupError for a column that is there no more."""
        kinds = {name: kind for record in self.records for name, kind in sql_columns(record).items()}
        found = {header: _cell(name, kinds[name]) for header, name in self.fields().items()}
        found = {header: column.sql for header, column in self.derived.items()} | found
        order = _order().get(self.name, [])
        gone = [header for header in order if header not in found]
        if gone:
            raise LookupError(
                f"{self.name}.csv has lost {', '.join(gone)}, on which importers rely. Name the field that it comes "
                f"from in {Path(__file__).name}, or delete the column from {ORDER.name} if that is meant."
            )
        return {header: found[header] for header in [*order, *(name for name in found if name not in order)]}


@cache
def _order() -> dict[str, list[str]]:
    return msgspec.json.decode(ORDER.read_bytes(), type=dict[str, list[str]])


def _cell(name: str, kind: str) -> str:
    """Return the SQL for a field's cell: several values are joined by ``|``."""
    if kind == "VARCHAR[]":
        return f"array_to_string(r.\"{name}\", '|')"
    if kind.startswith("MAP"):
        return (
            f"array_to_string(list_sort([e.key || '=' || e.value FOR e IN map_entries(r.\"{name}\")]), '|')"
        )
    return f'r."{name}"' if "[" not in kind and "(" not in kind else f'to_json(r."{name}")::VARCHAR'


_TENANT = Derived(
    "coalesce(p.tenant_id, r.account_id)",
    "The `Account.id` at the top: an organization, or the account itself.",
)
_SCOPE_NAME = Derived("p.name", "What people call the account.")
_USAGE_KNOWN = Derived(
    "r.last_used_at IS NOT NULL OR coalesce(r.never_used, false)",
    "false: nobody knows whether it was used, which is not the same as unused.",
)
_SINCE = {
    "first_seen_at": Derived("m.first_seen", "The first night that listed it."),
    "removed_at": Derived(
        "m.removed_at", "The first night whose complete listing lacks it; kept for 400 days."
    ),
}
_TENANTS = "LEFT JOIN tenants p ON p.account_id = r.account_id"

_FINDING_FROM = f"""
    findings r {_TENANTS}
    LEFT JOIN rule_controls a ON a.rule = r.rule AND a.provider = '{EVERY}'
    LEFT JOIN rule_controls o ON o.rule = r.rule AND o.provider = r.provider
"""

_FINDING_HEADERS = {
    "id": "finding_id",
    "rule": "rule_id",
    "account_id": "scope_id",
    "account_name": "scope_name",
    "surface": "identity_type",
    "resource": "resource_id",
    "first_seen": "first_seen_at",
    "changed_at": "status_changed_at",
    "detail": "evidence_summary",
    "blast": "impact",
    "fix": "remediation",
    "url": "remediation_url",
}

_FINDING_DERIVED = {
    "tenant_id": _TENANT,
    "credential_type": Derived(
        "CASE WHEN r.subject_table = 'credentials' THEN r.subject_kind END", "The credential's kind."
    ),
    "control_refs": Derived(
        "nullif(concat_ws('|', a.controls, o.controls), '')",
        "Controls of frameworks that the rule is evidence for.",
    ),
    "evidence_ref": Derived(
        "r.subject_table || '/' || r.subject", "Table and id of the record in the snapshot."
    ),
    "path": Derived("array_to_string(r.path, ' > ')", "The shortest path to the power that matters."),
}

_FINDING_LEFT_OUT = frozenset(
    {
        "rank",  # changes every night by itself
        "changed", "previous_status",  # in findings_delta.csv
        "subject", "subject_table", "subject_kind",  # in evidence_ref and credential_type
        "evidence",  # differs from rule to rule: in findings.jsonl
        "state_hash", "gone_in",  # of use to this tool alone
    }
)  # fmt: skip

_FINDINGS = Sheet(
    "findings", (Finding,), "r.id", _FINDING_FROM, _FINDING_HEADERS, _FINDING_DERIVED, _FINDING_LEFT_OUT
)

_CHANGED_HEADERS = {name: header for header, name in _FINDINGS.fields().items()} | {"path": "path"}

_DELTA = {
    "change_type": Derived(
        # What is open and was something else has changed, like what has another owner.
        "CASE WHEN r.status IS NOT DISTINCT FROM r.previous_status OR r.status = 'open' THEN 'changed' "
        "ELSE r.status END",
        "new, reopened, changed, resolved, unobserved, excepted or error.",
    ),
    "previous_status": Derived(
        "r.previous_status", "The status of the night before; empty when it was not known."
    ),
    "changed_fields": Derived(
        f"""nullif(array_to_string(list_concat(
            CASE WHEN r.previous_status IS NOT NULL AND r.status <> r.previous_status THEN ['status'] ELSE [] END,
            [MAP {_CHANGED_HEADERS}[name] FOR name IN r.changed]), '|'), '')""",
        "The columns that differ from the night before.",
    ),
    "run_id": Derived("$run_id", "The run."),
    "observed_at": Derived("$as_of::TIMESTAMP", "The night's time."),
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
        WHERE "table" = '{table}' AND removed_at IS NOT NULL) r {_TENANTS}
        LEFT JOIN population m ON m."table" = '{table}' AND m.id = r.id"""


_NATIVE_ID = "regexp_extract(id, '^[^:]+:[^:]+:(.*)$', 1) AS native_id"

_IDENTITIES = Sheet(
    "identities",
    (Identity,),
    "r.id",
    f"""{_with_gone("identities", f"kind, name, surface, {_NATIVE_ID}")}
    LEFT JOIN credential_counts c ON c.identity_id = r.id
    LEFT JOIN grant_counts g ON g.identity_id = r.id
    LEFT JOIN finding_counts o ON o.identity_id = r.id""",
    {
        "id": "identity_id",
        "account_id": "scope_id",
        "surface": "identity_type",
        "kind": "subtype",
        "issuer": "federation_issuer",
    },
    {
        "tenant_id": _TENANT,
        "scope_name": _SCOPE_NAME,
        "is_human": Derived("r.surface = 'human'", "Whether a person signs in with it."),
        "last_used_source": Derived(
            "CASE WHEN r.last_used_at IS NOT NULL THEN r.provider END", "Who says when it was last used."
        ),
        "usage_known": _USAGE_KNOWN,
        "credential_count": Derived("coalesce(c.n, 0)", "How many credentials prove it."),
        "grant_count": Derived("coalesce(g.n, 0)", "How many grants it holds."),
        "max_privilege": Derived("g.level", "The highest level of its grants."),
        "open_findings": Derived("coalesce(o.n, 0)", "How many findings are open."),
        "highest_severity": Derived("o.severity", "The worst of these."),
        **_SINCE,
    },
    frozenset({"tokens"}),  # claims of each kind of token: in the snapshot, for the simulation of trusts
)

_CREDENTIALS = Sheet(
    "credentials",
    (Credential,),
    "r.id",
    f"""{_with_gone("credentials", f"kind, name, identity_id, {_NATIVE_ID}")}
    LEFT JOIN identities i ON i.id = r.identity_id""",
    {"id": "credential_id", "account_id": "scope_id", "kind": "credential_type"},
    {
        "tenant_id": _TENANT,
        "is_static": Derived("r.lifetime = 'static'", "Whether it works until somebody revokes it."),
        "state": Derived(
            "CASE WHEN r.enabled THEN 'active' WHEN r.enabled = false THEN 'inactive' END",
            "active or inactive.",
        ),
        "usage_known": _USAGE_KNOWN,
        "owner": Derived("coalesce(r.owner, i.owner)", "Who answers for it or for its identity."),
        **_SINCE,
    },
    frozenset({"enabled"}),  # in state
)

_SECRETS = Sheet(
    "secrets",
    (Secret,),
    "r.id",
    f"secrets r {_TENANTS}",
    {"id": "secret_id", "account_id": "scope_id"},
    {"tenant_id": _TENANT, "scope_name": _SCOPE_NAME, "usage_known": _USAGE_KNOWN},
    frozenset({"length", "fingerprint"}),  # no business of those who import this
)

_GRANTS = Sheet(
    "grants",
    (Grant,),
    "r.id",
    _with_gone("grants", "name AS role, identity_id"),
    {
        "id": "grant_id",
        "account_id": "scope_id",
        "via": "grant_type",
        "role": "role_name",
        "breadth": "scope_type",
        "resource": "resource_id",
        "level": "privilege_level",
        "unused_actions": "unused_actions_count",
        "conditional": "condition_present",
    },
    {"tenant_id": _TENANT, "usage_known": _USAGE_KNOWN, **_SINCE},
)

_EXCEPTIONS = Sheet(
    "exceptions",
    (ExceptionState,),
    "r.id",
    "exceptions r",
    {"id": "exception_id", "rule": "rule_id", "matched": "matched_findings"},
    {
        "finding_id": Derived(
            "(SELECT string_agg(id, '|' ORDER BY id) FROM findings WHERE exception_id = r.id)",
            "The findings that it covers.",
        )
    },
)

_METRICS = Sheet(
    "metrics",
    (Metric,),
    "r.metric || chr(31) || r.dimension || chr(31) || r.dimension_value",
    "metrics r",
    {},
    {"run_date": Derived("strftime($as_of::TIMESTAMP, '%Y-%m-%d')", "The night's day.")},
)

_COVERAGE = Sheet(
    "coverage",
    (Coverage, Gap),
    "r.id || r.status",
    f"""(SELECT *, 'complete' AS status FROM coverage UNION ALL BY NAME
        SELECT *, CASE reason WHEN 'deadline' THEN 'skipped' WHEN 'truncated' THEN 'partial' ELSE 'failed' END AS status
        FROM gaps) r {_TENANTS}""",
    {
        "account_id": "scope_id",
        "call": "listing",
        "items": "items_collected",
        "reason": "reason_code",
        "detail": "reason",
        "needs": "missing_permission",
    },
    {
        "run_id": Derived("$run_id", "The run."),
        "collector_version": Derived("$version", "The version of sprawlscan."),
        "tenant_id": _TENANT,
        "scope_name": _SCOPE_NAME,
        "resource_kind": Derived(
            "r.\"table\" || coalesce('/' || r.kind, '')", "The table and kind of record."
        ),
        "status": Derived("r.status", "complete, partial, skipped or failed."),
        "data_as_of": Derived(
            "coalesce(r.carried_from, $as_of::TIMESTAMP)",
            "The night whose answer this is: tonight's or an earlier one.",
        ),
    },
    frozenset({"id", "table", "kind", "carried_from"}),  # in resource_kind and data_as_of
)

SHEETS = (
    _FINDINGS,
    _FINDINGS._replace(
        name="findings_delta",
        source=f"{_FINDING_FROM} WHERE r.status IS DISTINCT FROM r.previous_status OR len(r.changed) > 0",
        derived=_DELTA | _FINDING_DERIVED,
    ),
    _IDENTITIES,
    _CREDENTIALS,
    _SECRETS,
    _GRANTS,
    _EXCEPTIONS,
    _METRICS,
    _COVERAGE,
)


def column_order() -> str:
    """Return what ``columns.json`` holds when it is fresh: each column in its place, and new ones at the end."""
    order = {sheet.name: list(sheet.columns()) for sheet in SHEETS}
    return msgspec.json.format(msgspec.json.encode(order), indent=1).decode() + "\n"


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
