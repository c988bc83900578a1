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
        "rules": Derived("r.rules", "How many rules are mapped to it."),
        "checks_passed": Derived(
            "r.passed", "Rules in accounts with complete inputs and nothing found, whose silence is evidence."
        ),
        "checks_failed": Derived("r.failed", "Rules in accounts that found something."),
        "checks_incomplete": Derived(
            "r.incomplete", "Rules in accounts that found nothing with incomplete inputs."
        ),
        "checks_not_evaluated": Derived("r.not_evaluated", "Rules in accounts without inputs."),
        "checks_without_evidence": Derived(
            "r.counter", "Rules in accounts that found nothing, which proves nothing about the control."
        ),
        "open_findings": Derived("r.findings", "Open findings of its rules."),
    },
)

FRAMEWORK_COLUMNS = {
    "framework": "VARCHAR", "control": "VARCHAR", "title": "VARCHAR", "rules": "BIGINT", "passed": "BIGINT",
    "failed": "BIGINT", "incomplete": "BIGINT", "not_evaluated": "BIGINT", "counter": "BIGINT", "findings": "BIGINT",
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
)
