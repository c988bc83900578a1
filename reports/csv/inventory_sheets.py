"""The files of the inventory: one for each table of records."""

from __future__ import annotations

from reports.csv.sheet import OBSERVED, SCOPE_NAME, SINCE, TENANT, USAGE_KNOWN, Derived, Sheet, sheet_of
from reports.csv.unlisted import every_record
from scanner.records import Account, Artifact, Control, Credential, Grant, Identity, Policy, Secret, Weakness

_LEVEL = """CASE min(CASE level WHEN 'admin' THEN 0 WHEN 'escalation' THEN 1 WHEN 'write' THEN 2 WHEN 'unknown' THEN 3
            ELSE 4 END) WHEN 0 THEN 'admin' WHEN 1 THEN 'escalation' WHEN 2 THEN 'write' WHEN 3 THEN 'unknown'
            ELSE 'read' END"""


_WORST = """CASE min(CASE severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 WHEN 'low' THEN 3
            ELSE 4 END) WHEN 0 THEN 'critical' WHEN 1 THEN 'high' WHEN 2 THEN 'medium' WHEN 3 THEN 'low' ELSE 'info' END"""


COUNTS = {
    "credential_counts": "SELECT identity_id, count(*) AS n FROM credentials GROUP BY 1",
    "grant_counts": f"SELECT identity_id, count(*) AS n, {_LEVEL} AS level FROM grants GROUP BY 1",
    "finding_counts": f"""SELECT identity_id, count(*) AS n, {_WORST} AS severity FROM findings
                          WHERE status IN ('new', 'open', 'reopened') GROUP BY 1""",
}


IDENTITIES = Sheet(
    "identities",
    (Identity,),
    "r.id",
    f"""{every_record("identities", "kind, name, surface, native_id")}
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
        "tenant_id": TENANT,
        "scope_name": SCOPE_NAME,
        "is_human": Derived("r.surface = 'human'", "Whether a person signs in with it.", "BOOLEAN"),
        "last_used_source": Derived(
            "CASE WHEN r.last_used_at IS NOT NULL THEN r.provider END", "The source of the last-used date."
        ),
        "usage_known": USAGE_KNOWN,
        "credential_count": Derived("coalesce(c.n, 0)", "Number of credentials.", "BIGINT"),
        "grant_count": Derived("coalesce(g.n, 0)", "Number of grants.", "BIGINT"),
        "max_privilege": Derived("g.level", "The highest level of its grants."),
        "open_findings": Derived("coalesce(o.n, 0)", "Number of open findings.", "BIGINT"),
        "highest_severity": Derived("o.severity", "The highest severity of these."),
        **SINCE,
    },
    # Claims of each kind of token, and use by service: in the snapshot, for the simulation of trusts and the evaluator.
    frozenset({"tokens", "service_use"}),
)


CREDENTIALS = Sheet(
    "credentials",
    (Credential,),
    "r.id",
    f"""{every_record("credentials", "kind, name, identity_id, native_id")}
    LEFT JOIN identities i ON i.id = r.identity_id""",
    {"id": "credential_id", "account_id": "scope_id", "kind": "credential_type"},
    {
        "tenant_id": TENANT,
        "is_static": Derived(
            "r.lifetime = 'static'", "Whether it works until somebody revokes it.", "BOOLEAN"
        ),
        "state": Derived(
            "CASE WHEN r.enabled THEN 'active' WHEN r.enabled = false THEN 'inactive' END",
            "active or inactive.",
        ),
        "usage_known": USAGE_KNOWN,
        "owner": Derived("coalesce(r.owner, i.owner)", "The owner of it or of its identity."),
        **SINCE,
    },
    frozenset({"enabled"}),  # in state
)


SECRETS = Sheet(
    "secrets",
    (Secret,),
    "r.id",
    every_record("secrets", "kind AS store, name, identity_id AS holder_id"),
    {"id": "secret_id", "account_id": "scope_id"},
    {"tenant_id": TENANT, "scope_name": SCOPE_NAME, "usage_known": USAGE_KNOWN, **SINCE},
    frozenset({"length", "fingerprint"}),  # not needed by importers
)


GRANTS = Sheet(
    "grants",
    (Grant,),
    "r.id",
    every_record("grants", "name AS role, identity_id", name="role"),
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
    {"tenant_id": TENANT, "usage_known": USAGE_KNOWN, **SINCE},
)

CONTROLS = sheet_of(Control, "controls", "control_id")

POLICIES = sheet_of(
    Policy,
    "policies",
    "policy_id",
    {
        "size": Derived(
            "octet_length(encode(r.document))",
            "The size of the document in bytes; empty if the provider did not return it.",
            "BIGINT",
        )
    },
    left_out=["document"],  # once for each hash, in policy_documents.csv
)

POLICY_DOCUMENTS = Sheet(
    "policy_documents",
    (),
    "r.sha256",
    "(SELECT sha256, any_value(document) AS document, count(*) AS policies FROM policies WHERE document IS NOT NULL GROUP BY sha256) r",
    {},
    {
        "sha256": Derived("r.sha256", "The SHA-256 of the document: `sha256` in policies.csv."),
        "policies": Derived("r.policies", "How many rows of policies.csv have this document.", "BIGINT"),
        "size": Derived("octet_length(encode(r.document))", "Its size in bytes.", "BIGINT"),
        "document": Derived(
            "r.document",
            "The document as the provider returned it: JSON with sorted keys, with secrets masked.",
        ),
    },
)

ARTIFACTS = sheet_of(Artifact, "artifacts", "artifact_id")

WEAKNESSES = sheet_of(Weakness, "weaknesses", "weakness_id")

SCOPES = Sheet(
    "scopes",
    (Account,),
    "r.id",
    """(SELECT *, true AS observed FROM accounts UNION ALL BY NAME
        SELECT id, provider, kind, coalesce(name, id) AS name, parent_id, false AS observed FROM unlisted_accounts) r
        LEFT JOIN tenants p ON p.account_id = r.id""",
    {"id": "scope_id", "kind": "scope_type", "name": "scope_name", "parent_id": "parent_scope_id"},
    {
        "tenant_id": Derived("coalesce(p.tenant_id, r.id)", "The scope at the top."),
        "observed": OBSERVED,
    },
    frozenset({"account_id", "administrator_id", "members"}),  # not needed by importers
)
