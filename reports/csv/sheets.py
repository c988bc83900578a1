"""All files of the CSV export, the order of their columns, and the small tables that they join."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from reports.csv.finding_sheets import EVIDENCE, EXCEPTIONS, FINDINGS, FINDINGS_DELTA
from reports.csv.inventory_sheets import (
    ARTIFACTS,
    CONTROLS,
    COUNTS,
    CREDENTIALS,
    GRANTS,
    IDENTITIES,
    POLICIES,
    POLICY_DOCUMENTS,
    SCOPES,
    SECRETS,
    WEAKNESSES,
)
from reports.csv.result_sheets import (
    CONTROL_RULES_COLUMNS,
    FRAMEWORK_COLUMNS,
    FRAMEWORKS_COLUMNS,
    RESULT_SHEETS,
)
from reports.csv.sheet import SCOPE_NAME, TENANT, Derived, Sheet
from reports.csv.unlisted import TENANTS, define_unlisted
from scanner.analyze.framework import load_frameworks
from scanner.analyze.framework_results import read_frameworks
from scanner.findings import Metric
from scanner.records import Coverage, Gap
from scanner.rule_texts import rules_in_force

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scanner.night import Night
    from scanner.rule_texts import RuleText

_METRICS = Sheet(
    "metrics",
    (Metric,),
    "r.metric || chr(31) || r.dimension || chr(31) || r.dimension_value",
    "metrics r",
    {},
    {
        "metric_id": Derived(
            "concat_ws('/', r.metric, r.dimension, nullif(r.dimension_value, ''))",
            "Metric, dimension and value of the dimension.",
        ),
        "run_date": Derived("strftime($as_of::TIMESTAMP, '%Y-%m-%d')", "The date of the run."),
    },
)


_COVERAGE = Sheet(
    "coverage",
    (Coverage, Gap),
    "r.status || '/' || r.id",
    f"""(SELECT *, 'complete' AS status FROM coverage UNION ALL BY NAME
        SELECT *, CASE reason WHEN 'deadline' THEN 'skipped' WHEN 'truncated' THEN 'partial' WHEN 'unconfirmed' THEN 'partial'
               ELSE 'failed' END AS status
        FROM gaps) r {TENANTS}""",
    {
        "account_id": "scope_id",
        "call": "listing",
        "items": "items_collected",
        "reason": "reason_code",
        "detail": "reason",
        "needs": "missing_permission",
    },
    {
        "coverage_id": Derived("r.status || '/' || r.id", "The listing and whether it was complete."),
        "run_id": Derived("$run_id", "The run."),
        "collector_version": Derived("$version", "The version of sprawlscan."),
        "tenant_id": TENANT,
        "scope_name": SCOPE_NAME,
        "resource_kind": Derived(
            "r.\"table\" || coalesce('/' || r.kind, '')", "The table and kind of record."
        ),
        "status": Derived("r.status", "complete, partial, skipped or failed."),
        "data_as_of": Derived(
            "coalesce(r.carried_from, $as_of::TIMESTAMP)",
            "The run that read this: the current or an earlier one.",
            "TIMESTAMP",
        ),
    },
    frozenset({"id", "table", "kind", "carried_from"}),  # in resource_kind and data_as_of
)

SHEETS = (
    FINDINGS,
    FINDINGS_DELTA,
    IDENTITIES,
    CREDENTIALS,
    SECRETS,
    GRANTS,
    CONTROLS,
    POLICIES,
    POLICY_DOCUMENTS,
    ARTIFACTS,
    WEAKNESSES,
    EXCEPTIONS,
    SCOPES,
    EVIDENCE,
    _METRICS,
    _COVERAGE,
    *RESULT_SHEETS,
)


def column_order() -> str:
    """Return the up-to-date content of ``columns.json``: existing columns in place, new ones at the end."""
    order = {sheet.name: list(sheet.columns()) for sheet in SHEETS}
    return msgspec.json.format(msgspec.json.encode(order), indent=1).decode() + "\n"


_TENANTS_OF = """
    WITH RECURSIVE known AS (
        SELECT id, name, parent_id FROM accounts UNION ALL SELECT id, coalesce(name, id), parent_id FROM unlisted_accounts
    ), up AS (
        SELECT id AS account_id, name, id AS tenant_id, parent_id, 0 AS steps FROM known
        UNION ALL
        SELECT up.account_id, up.name, a.id, a.parent_id, steps + 1
        FROM up JOIN known a ON a.id = up.parent_id WHERE steps < 12
    )
    SELECT account_id, any_value(name) AS name, arg_max(tenant_id, steps) AS tenant_id FROM up GROUP BY 1
"""


def join_tables(night: Night) -> None:
    """Create the small tables that sheets join, such as the top-level parent of each account."""
    define_unlisted(night)
    night.tables.table_of("tenants", _TENANTS_OF)
    for name, query in COUNTS.items():
        night.tables.table_of(name, query)
    texts = rules_in_force(night)
    controls = [
        (framework.label, *control._asdict().values())
        for framework in read_frameworks(night, texts)
        for control in framework.controls
    ]
    night.tables.table_of_rows("framework_results", FRAMEWORK_COLUMNS, controls)
    _join_mappings(night, texts, {row[0] for row in controls})


def _join_mappings(night: Night, texts: Mapping[str, RuleText], cited: set[str]) -> None:
    """Create the tables of the cited frameworks, and of the rules that are evidence for their controls."""
    frameworks, rules = [], []
    for one in load_frameworks():
        label = f"{one.short} {one.version}"
        if label not in cited:
            continue
        frameworks.append(
            (label, one.title, one.version, one.published, one.license, one.source, one.url, len(one.controls),
             " ".join(one.not_claimed))
        )  # fmt: skip
        rules += [
            (label, code, rule, relation, control.at_most.get(rule), texts[rule].params.get("days"))
            for code, control in one.controls.items()
            for rule, relation in control.rules.items()
            if rule in texts
        ]
    night.tables.table_of_rows("cited_frameworks", FRAMEWORKS_COLUMNS, frameworks)
    night.tables.table_of_rows("control_rules", CONTROL_RULES_COLUMNS, rules)
