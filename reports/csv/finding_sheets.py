"""The files about findings: findings, what changed, exceptions and the records that findings cite."""

from __future__ import annotations

from reports.csv.sheet import TENANT, Derived, Sheet
from reports.csv.unlisted import TENANTS
from scanner.findings import ExceptionState, Finding

_FINDING_FROM = f"findings r {TENANTS}"


_FINDING_HEADERS = {
    "id": "finding_id",
    "rule": "rule_id",
    "account_id": "scope_id",
    "account_name": "scope_name",
    "surface": "identity_type",
    "resource": "resource_id",
    "controls": "control_refs",
    "first_seen": "first_seen_at",
    "changed_at": "status_changed_at",
    "detail": "evidence_summary",
    "blast": "impact",
    "fix": "remediation",
    "url": "remediation_url",
}


_FINDING_DERIVED = {
    "tenant_id": TENANT,
    "credential_type": Derived(
        "CASE WHEN r.subject_table = 'credentials' THEN r.subject_kind END", "The credential's kind."
    ),
    "evidence_ref": Derived(
        "r.subject_table || '/' || r.subject",
        "Table and id of the record in the snapshot: a row of evidence.csv.",
    ),
    "path": Derived("array_to_string(r.path, ' > ')", "The shortest path to the power that matters."),
    "exception_id": Derived(
        "CASE WHEN r.exception_id IN (SELECT id FROM exceptions) THEN r.exception_id END",
        "The exception that accepts it.",
    ),
}


_FINDING_LEFT_OUT = frozenset(
    {
        "rank",  # changes every night
        "changed", "previous_status",  # in findings_delta.csv
        "subject", "subject_table", "subject_kind",  # in evidence_ref and credential_type
        "evidence",  # differs between rules: in findings.jsonl
        "state_hash", "gone_in",  # internal
    }
)  # fmt: skip


FINDINGS = Sheet(
    "findings", (Finding,), "r.id", _FINDING_FROM, _FINDING_HEADERS, _FINDING_DERIVED, _FINDING_LEFT_OUT
)


_CHANGED_HEADERS = {name: header for header, name in FINDINGS.fields().items()} | {
    "path": "path",
    "exception_id": "exception_id",
}


_DELTA = {
    "change_type": Derived(
        # A finding whose status became open counts as changed, like one with a new owner.
        "CASE WHEN r.status IS NOT DISTINCT FROM r.previous_status OR r.status = 'open' THEN 'changed' "
        "ELSE r.status END",
        "new, reopened, changed, resolved, unobserved, excepted or error.",
    ),
    "previous_status": Derived(
        "r.previous_status", "The status in the previous run; empty for new findings."
    ),
    "changed_fields": Derived(
        f"""nullif(array_to_string(list_concat(
            CASE WHEN r.previous_status IS NOT NULL AND r.status <> r.previous_status THEN ['status'] ELSE [] END,
            [MAP {_CHANGED_HEADERS}[name] FOR name IN r.changed]), '|'), '')""",
        "The columns that differ from the previous run.",
    ),
    "run_id": Derived("$run_id", "The run."),
    "observed_at": Derived("$as_of::TIMESTAMP", "The time of the run.", "TIMESTAMP"),
}

FINDINGS_DELTA = FINDINGS._replace(
    name="findings_delta",
    source=f"{_FINDING_FROM} WHERE r.status IS DISTINCT FROM r.previous_status OR len(r.changed) > 0",
    derived=_DELTA | _FINDING_DERIVED,
)

EXCEPTIONS = Sheet(
    "exceptions",
    (ExceptionState,),
    "r.id",
    "exceptions r",
    {"id": "exception_id", "rule": "rule_id", "matched": "matched_findings"},
    {
        "finding_id": Derived(
            "(SELECT string_agg(id, '|' ORDER BY id) FROM findings WHERE exception_id = r.id)",
            "The number of findings it accepts.",
        )
    },
)


EVIDENCE = Sheet(
    "evidence",
    (),
    "r.ref",
    """(SELECT subject_table || '/' || subject AS ref, subject_table, subject, subject_kind AS kind,
               subject_name AS name, account_id, resource,
               status NOT IN ('unobserved', 'error', 'resolved') AS observed
        FROM findings) r""",
    {},
    {
        "evidence_ref": Derived("r.ref", "Table and id of the record."),
        "record_table": Derived("r.subject_table", "The table of the snapshot."),
        "record_id": Derived("r.subject", "The record's id in that table."),
        "record_kind": Derived("r.kind", "Its kind or store."),
        "record_name": Derived("r.name", "Its display name."),
        "scope_id": Derived("r.account_id", "The `Account.id` it belongs to."),
        "resource_id": Derived("r.resource", "The affected resource or location."),
        "observed": Derived(
            "r.observed", "false: only findings that this run did not confirm refer to it.", "BOOLEAN"
        ),
    },
    # One row a record, although several findings may refer to it. GROUP BY would hold every record in memory.
    within="CASE WHEN r.observed THEN '0' ELSE '1' END || coalesce(r.resource, '')",
    one_a_key=True,
)
