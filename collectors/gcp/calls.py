"""How Google Cloud is asked. Calls name the API first: ``/iam/v2/...`` is ``https://iam.googleapis.com/v2/...``."""

from __future__ import annotations

APIS = (
    "cloudasset",
    "cloudresourcemanager",
    "iam",
    "policyanalyzer",
    "recommender",
    "storage",
    "workflows",
)
"""The APIs that are asked by REST."""

ORGANIZATION = "/cloudresourcemanager/v3/organizations/{organization}"
"""https://docs.cloud.google.com/resource-manager/reference/rest/v3/organizations/get"""
PROJECT = "/cloudresourcemanager/v3/projects/{project}"
"""https://docs.cloud.google.com/resource-manager/reference/rest/v3/projects/get"""
PROJECTS = "/cloudresourcemanager/v3/projects:search"
"""https://docs.cloud.google.com/resource-manager/reference/rest/v3/projects/search"""
PROJECT_POLICY = "/cloudresourcemanager/v3/projects/{project}:getIamPolicy"
"""A POST that reads. https://docs.cloud.google.com/resource-manager/reference/rest/v3/projects/getIamPolicy"""
ASSETS = "/cloudasset/v1/{kind}/{number}/assets"
"""https://docs.cloud.google.com/asset-inventory/docs/reference/rest/v1/assets/list"""
POLICIES = "/cloudasset/v1/{kind}/{number}:searchAllIamPolicies"
"""https://docs.cloud.google.com/asset-inventory/docs/reference/rest/v1/TopLevel/searchAllIamPolicies"""
POOLS = "/iam/v1/projects/{project}/locations/global/workloadIdentityPools"
"""https://docs.cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools/list"""
PROVIDERS = f"{POOLS}/{{pool}}/providers"
"""https://docs.cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools.providers/list"""
DENIES = "/iam/v2/policies/{attachmentPoint}/denypolicies"
"""https://docs.cloud.google.com/iam/docs/reference/rest/v2/policies/listPolicies"""
DENY = f"{DENIES}/{{policy}}"
"""https://docs.cloud.google.com/iam/docs/reference/rest/v2/policies/get"""
ACCOUNT_USE = "/policyanalyzer/v1/projects/{project}/locations/global/activityTypes/serviceAccountLastAuthentication/activities:query"
"""https://docs.cloud.google.com/policy-intelligence/docs/activity-analyzer-service-account-authentication"""
KEY_USE = "/policyanalyzer/v1/projects/{project}/locations/global/activityTypes/serviceAccountKeyLastAuthentication/activities:query"
HMAC_KEYS = "/storage/storage/v1/projects/{project}/hmacKeys"
"""https://docs.cloud.google.com/storage/docs/json_api/v1/projects/hmacKeys/list"""
WORKFLOWS = "/workflows/v1/projects/{project}/locations/-/workflows"
"""https://docs.cloud.google.com/workflows/docs/reference/rest/v1/projects.locations.workflows/list"""
RECOMMENDATIONS = "/recommender/v1/projects/{project}/locations/global/recommenders/google.iam.policy.Recommender/recommendations"
"""https://docs.cloud.google.com/recommender/docs/reference/rest/v1/projects.locations.recommenders.recommendations/list"""
LIST_ROLES = "google.iam.admin.v1.IAM/ListRoles"
"""https://docs.cloud.google.com/iam/docs/reference/rpc/google.iam.admin.v1"""
LIST_ACCOUNTS = "google.iam.admin.v1.IAM/ListServiceAccounts"
