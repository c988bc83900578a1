"""The smallest custom role of the Google Cloud collector, and what each part of it is for."""

from __future__ import annotations

import yaml

NEEDED = {
    "resourcemanager.organizations.get": "the organization",
    "resourcemanager.projects.get": "projects",
    "cloudasset.assets.listResource": "every list of the inventory",
    "cloudasset.assets.exportResource": "lists of types that have no permission of their own",
    "cloudasset.assets.searchAllIamPolicies": "IAM policies of every level",
    "cloudasset.assets.exportIamServiceAccounts": "service accounts",
    "cloudasset.assets.exportIamServiceAccountKeys": "keys of service accounts",
    "cloudasset.assets.exportIamRoles": "custom roles",
    "iam.roles.list": "permissions of predefined roles",
    "serviceusage.services.use": "requests on the quota of the scanner's project",
}
CLOSES_A_GAP = {
    "iam.denypolicies.list": "deny policies",
    "iam.denypolicies.get": "the rules of deny policies",
    "iam.serviceAccounts.list": "service accounts where the inventory is off",
    "iam.serviceAccounts.getIamPolicy": "who may impersonate them, where the inventory is off",
    "iam.serviceAccountKeys.list": "keys where the inventory is off",
    "iam.googleapis.com/workloadIdentityPools.list": "workload identity pools where the inventory is off",
    "iam.googleapis.com/workloadIdentityPoolProviders.list": "their providers",
    "resourcemanager.projects.getIamPolicy": "policies of projects where the inventory is off",
    "policyanalyzer.serviceAccountLastAuthenticationActivities.query": "when accounts last signed in",
    "policyanalyzer.serviceAccountKeyLastAuthenticationActivities.query": "when keys last signed in",
    "recommender.iamPolicyRecommendations.list": "roles that nobody uses",
    "storage.hmacKeys.list": "HMAC keys",
    "workflows.workflows.list": "workflows and what they run as",
}


def role_text() -> str:
    """Return the custom role as YAML for ``gcloud iam roles create``, with what it is for and where to grant it."""
    role = {
        "title": "sprawlscan reader",
        "description": "Read-only inventory of identities and access. Grant it at the organization.",
        "stage": "GA",
        "includedPermissions": [*NEEDED, *CLOSES_A_GAP],
    }
    widest = max(map(len, (*NEEDED, *CLOSES_A_GAP)))
    lines = [
        "Custom role of Google Cloud for sprawlscan. It writes nothing.",
        "The predefined roles Cloud Asset Viewer (roles/cloudasset.viewer), Deny Reviewer (roles/iam.denyReviewer), Activity",
        "Analysis Viewer (roles/policyanalyzer.activityAnalysisViewer) and IAM Recommender Viewer (roles/recommender.iamViewer)",
        "contain most of it.",
        "",
        yaml.safe_dump(role, sort_keys=False, width=120).rstrip(),
        "",
        "Needed",
        *(f"  {name:<{widest}}  {what}" for name, what in NEEDED.items()),
        "Each closes one gap",
        *(f"  {name:<{widest}}  {what}" for name, what in CLOSES_A_GAP.items()),
        "Where to grant them: save the YAML as role.yaml, then",
        "  gcloud iam roles create sprawlscanReader --organization=ORGANIZATION --file=role.yaml",
        "  gcloud organizations add-iam-policy-binding ORGANIZATION --condition=None \\",
        "    --member=serviceAccount:SCANNER@PROJECT.iam.gserviceaccount.com \\",
        "    --role=organizations/ORGANIZATION/roles/sprawlscanReader",
        "In the scanner's project: gcloud services enable cloudasset.googleapis.com iam.googleapis.com \\",
        "  cloudresourcemanager.googleapis.com policyanalyzer.googleapis.com recommender.googleapis.com",
        "For a project without an organization, create the role and the binding in the project, with --project; leave out",
        "resourcemanager.organizations.get, which a project's role cannot contain. Attach the account to the machine that runs",
        "the scanner, or use workload identity federation; do not create a key.",
        "Never grant secretmanager.versions.access, iam.serviceAccounts.getAccessToken, iam.serviceAccounts.sign*, Editor or",
        "Viewer: none is needed.",
    ]
    return "\n".join(lines) + "\n"
