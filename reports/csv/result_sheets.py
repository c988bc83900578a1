"""The files of what the analysis concludes: trusts, comparisons, reach, checks with passes, frameworks, coverage by account."""

from __future__ import annotations

from reports.csv.sheet import SCOPE_NAME, TENANT, Derived, Sheet, sheet_of
from reports.csv.unlisted import TENANTS
from scanner.findings import Excess, Reach, RuleResult, TargetCoverage
from scanner.records import Deployment, Link, Rollout, Trust

TRUSTS = sheet_of(Trust, "trusts", "trust_id")

LINKS = sheet_of(Link, "links", "link_id")

DEPLOYMENTS = sheet_of(Deployment, "deployments", "deployment_id")

ROLLOUTS = sheet_of(Rollout, "rollouts", "rollout_id")

REACH = Sheet(
    "reach",
    (Reach,),
    "r.identity_id || chr(31) || r.power || chr(31) || r.grant_id",
    f"reach r {TENANTS}",
    {"account_id": "scope_id"},
    {
        "reach_id": Derived(
            "concat_ws('/', r.identity_id, r.power, r.grant_id)", "The identity, the power and its grant."
        ),
        "tenant_id": TENANT,
        "path": Derived("array_to_string(r.path, ' > ')", "One clause for each step, from start to power."),
    },
    table="reach",
)

EXCESS = Sheet(
    "excess",
    (Excess,),
    "r.pipeline_id || chr(31) || r.workload_id",
    """(SELECT *, CASE WHEN len(excess) > 0 THEN 'excess' WHEN complete THEN 'none' ELSE 'unknown' END AS result
        FROM excess) r""",
    {},
    {
        "excess_id": Derived("r.pipeline_id || '/' || r.workload_id", "The pipeline and the workload."),
        "result": Derived(
            "r.result", "excess, none, or unknown: none was found, but some inputs were not readable."
        ),
        "path": Derived(
            "array_to_string([step.what FOR step IN r.path], ' > ')",
            "The steps to the strongest excess power.",
        ),
        "workload_path": Derived(
            "array_to_string([step.what FOR step IN r.workload_path], ' > ')",
            "The steps to the workload's own strongest power.",
        ),
        "more_fixes": Derived(
            "array_to_string(r.more_fixes, ' | ')",
            "The further changes that end the rest of the excess, in order.",
        ),
    },
    table="excess",
)

RULE_RESULTS = Sheet(
    "rule_results",
    (RuleResult,),
    "r.rule || chr(31) || r.account_id",
    f"""(SELECT *, CASE WHEN findings > 0 THEN 'fail' WHEN status = 'evaluated' THEN 'pass' ELSE status END AS result
        FROM rule_results) r {TENANTS}""",
    {"rule": "rule_id", "account_id": "scope_id"},
    {
        "rule_result_id": Derived("r.rule || '/' || r.account_id", "The rule and the account."),
        "result": Derived(
            "r.result",
            "pass: evaluated with complete inputs, nothing found; fail: something found; incomplete, not-evaluated and "
            "error prove nothing.",
        ),
        "tenant_id": TENANT,
        "scope_name": SCOPE_NAME,
    },
)

FRAMEWORK_RESULTS = Sheet(
    "framework_results",
    (),
    "r.framework || chr(31) || r.control",
    "framework_results r",
    {},
    {
        "framework_result_id": Derived("r.framework || ': ' || r.control", "The framework and the control."),
        "framework": Derived("r.framework", "Short name and version."),
        "control": Derived("r.control", "The code of the control."),
        "control_title": Derived("r.title", "Its short title."),
        "rules": Derived("r.rules", "How many rules are mapped to it.", "BIGINT"),
        "checks_passed": Derived(
            "r.passed",
            "Rules in accounts with complete inputs and nothing found, whose silence is evidence.",
            "BIGINT",
        ),
        "checks_failed": Derived("r.failed", "Rules in accounts that found something.", "BIGINT"),
        "checks_incomplete": Derived(
            "r.incomplete", "Rules in accounts that found nothing with incomplete inputs.", "BIGINT"
        ),
        "checks_not_evaluated": Derived("r.not_evaluated", "Rules in accounts without inputs.", "BIGINT"),
        "checks_without_evidence": Derived(
            "r.counter",
            "Rules in accounts that found nothing, which proves nothing about the control.",
            "BIGINT",
        ),
        "open_findings": Derived("r.findings", "Open findings of its rules.", "BIGINT"),
        "accepted_findings": Derived(
            "r.excepted",
            "Findings of its rules that an exception accepts; an accepted risk is no pass.",
            "BIGINT",
        ),
        "result": Derived(
            "r.result",
            "The worst of its checks: counts-against, unknown (a check lacked inputs), excepted, partly (some of its "
            "rules prove nothing by their silence), looked-at, no-evidence. Never a verdict on the control.",
        ),
        "silence_proves": Derived(
            "r.proves", "How much of the control is shown if no rule finds anything: full, partial or none."
        ),
        "evidence_tables": Derived(
            "array_to_string(r.tables, '|')", "Tables that are evidence by themselves."
        ),
        "note": Derived("r.note", "What limits the evidence."),
    },
)

FRAMEWORK_COLUMNS = {
    "framework": "VARCHAR", "control": "VARCHAR", "title": "VARCHAR", "rules": "BIGINT", "passed": "BIGINT",
    "failed": "BIGINT", "incomplete": "BIGINT", "not_evaluated": "BIGINT", "counter": "BIGINT", "findings": "BIGINT",
    "excepted": "BIGINT", "result": "VARCHAR", "proves": "VARCHAR", "tables": "VARCHAR[]", "note": "VARCHAR",
}  # fmt: skip
"""The table that this sheet reads: names and DuckDB types."""

FRAMEWORKS = Sheet(
    "frameworks",
    (),
    "r.framework",
    "cited_frameworks r",
    {},
    {
        "framework": Derived("r.framework", "Short name and version: the key of `framework` in other files."),
        "title": Derived("r.title", "The full title."),
        "version": Derived("'v' || r.version", "The version, after a v."),
        "published": Derived("r.published", "When this version was published, as far as known."),
        "license": Derived("r.license", "The license of its text, and whose words the titles are."),
        "source": Derived("r.source", "Where ids and numbers were read."),
        "url": Derived("r.url", "Its page."),
        "controls": Derived(
            "r.controls", "How many of its controls a rule or a table is evidence for.", "BIGINT"
        ),
        "not_claimed": Derived("r.not_claimed", "What the mapping does not prove."),
    },
)

FRAMEWORKS_COLUMNS = {
    "framework": "VARCHAR", "title": "VARCHAR", "version": "VARCHAR", "published": "VARCHAR", "license": "VARCHAR",
    "source": "VARCHAR", "url": "VARCHAR", "controls": "BIGINT", "not_claimed": "VARCHAR",
}  # fmt: skip
"""The table that this sheet reads: names and DuckDB types."""

CONTROL_RULES = Sheet(
    "control_rules",
    (),
    "r.framework || chr(31) || r.control || chr(31) || r.rule",
    "control_rules r",
    {},
    {
        "control_rule_id": Derived("r.framework || ': ' || r.control || '/' || r.rule", "The control and the rule."),
        "framework_result_id": Derived("r.framework || ': ' || r.control", "The control: a row of framework_results.csv."),
        "framework": Derived("r.framework", "Short name and version."),
        "control": Derived("r.control", "The code of the control."),
        "rule_id": Derived("r.rule", "The rule that is evidence for it."),
        "relation": Derived(
            "r.relation",
            "full: the rule tests all of the control; partial: a part; counter: a finding counts against the control, and "
            "its absence proves nothing.",
        ),
        "at_most_days": Derived("r.at_most", "The largest threshold with which the rule still tests the control.", "BIGINT"),
        "days": Derived("r.days", "The threshold of the run; above at_most_days, no finding is no evidence.", "BIGINT"),
    },
)  # fmt: skip

CONTROL_RULES_COLUMNS = {
    "framework": "VARCHAR", "control": "VARCHAR", "rule": "VARCHAR", "relation": "VARCHAR", "at_most": "BIGINT",
    "days": "BIGINT",
}  # fmt: skip
"""The table that this sheet reads: names and DuckDB types."""

TARGET_COVERAGE = Sheet(
    "target_coverage",
    (TargetCoverage,),
    "r.id",
    f"target_coverage r {TENANTS}",
    {"id": "target_id", "account_id": "scope_id", "name": "scope_name", "kind": "scope_type", "parent_id": "parent_scope_id"},
    {"tenant_id": TENANT},
)  # fmt: skip

RESULT_SHEETS = (
    TRUSTS,
    LINKS,
    DEPLOYMENTS,
    ROLLOUTS,
    REACH,
    EXCESS,
    RULE_RESULTS,
    FRAMEWORK_RESULTS,
    TARGET_COVERAGE,
    FRAMEWORKS,
    CONTROL_RULES,
)
