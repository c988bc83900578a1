"""The kinds of records that the Google Cloud collector yields, and the parts of tables that its coverage and gaps name."""

from __future__ import annotations

CLUSTER_CONTROLS = (
    "gke-workload-identity",
    "gke-node-metadata",
    "gke-legacy-abac-off",
    "gke-client-certificate-off",
    "gke-anonymous-access",
    "gke-binary-authorization",
    "gke-insecure-bindings",
)

KINDS: dict[str, frozenset[str]] = {
    "accounts": frozenset(("gcp-folder", "gcp-organization", "gcp-project", "gke-cluster")),
    "identities": frozenset(
        (
            "cloud-build-trigger",
            "cloud-deploy-pipeline",
            "cloud-deploy-target",
            "cloud-function",
            "cloud-function-1st-gen",
            "cloud-run-job",
            "cloud-run-service",
            "composer-environment",
            "compute-instance",
            "gcp-agent-identity",
            "gcp-basic-role-holders",
            "gcp-federated-principal",
            "gcp-service-account",
            "gcp-service-account-set",
            "gcp-service-agent",
            "gcp-unlisted-service-account",
            "gcp-workflow",
            "gcp-workforce-principal",
            "gke-cluster",
            "gke-service-account",
            "google-domain",
            "google-group",
            "google-public",
            "google-user",
            "reasoning-engine",
        )
    ),
    "credentials": frozenset(("gcp-api-key", "gcp-hmac-key", "gcp-service-account-key")),
    "secrets": frozenset(("gcp-secret-manager",)),
    "trusts": frozenset(("account", "certificate", "oidc", "saml")),
    "policies": frozenset(
        (
            "gcp-custom-role",
            "gcp-deny-policy",
            "gcp-predefined-role",
            "iam-policy",
            "iam-recommendation",
            "policy-binding",
            "principal-access-boundary",
            "workload-identity-pool",
            "workload-identity-provider",
        )
    ),
    "controls": frozenset(
        (
            *CLUSTER_CONTROLS,
            "binary-authorization",
            "cloud-build-approval",
            "cloud-deploy-approval",
            "cloud-run-invoker-check",
            "gcp-organization-policy",
            "tag-immutability",
        )
    ),
}

PARTS: dict[str, frozenset[str]] = {
    "credentials": frozenset(("last-authentication",)),
    "grants": frozenset(("iam-binding",)),
    "identities": frozenset(("last-authentication",)),
    "links": frozenset(("can_become", "member_of", "runs_as")),
    "policies": frozenset(("predefined-roles",)),
    "secrets": frozenset(("gcp-secret-version",)),
}

HIDES_NO_ACCESS: dict[str, frozenset[str]] = {
    "credentials": frozenset(("last-authentication",)),
    "identities": frozenset(("last-authentication",)),
    "policies": frozenset(("iam-recommendation",)),
    "secrets": frozenset(("gcp-secret-version",)),
}
