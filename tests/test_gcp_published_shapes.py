"""What the sandbox answers has the fields and types that Google publishes.

REST: the discovery documents, of which `tests/data/reduce_google_discovery.py` makes the data file, which names their revisions.
The types of IAM v3 are in no discovery document, but in google-cloud-iam.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from sandbox.gcp import GcpSandbox
from sandbox.gcp.company import build

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLISHED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "google-discovery.json").read_text(encoding="utf-8")
)
SCHEMAS: dict[str, Any] = PUBLISHED["schemas"]
TYPES = {
    "aiplatform.googleapis.com/ReasoningEngine": "aiplatform.v1:GoogleCloudAiplatformV1ReasoningEngine",
    "apikeys.googleapis.com/Key": "apikeys.v2:V2Key",
    "artifactregistry.googleapis.com/Repository": "artifactregistry.v1:Repository",
    "binaryauthorization.googleapis.com/Attestor": "binaryauthorization.v1:Attestor",
    "binaryauthorization.googleapis.com/Policy": "binaryauthorization.v1:Policy",
    "cloudbuild.googleapis.com/BuildTrigger": "cloudbuild.v1:BuildTrigger",
    "clouddeploy.googleapis.com/DeliveryPipeline": "clouddeploy.v1:DeliveryPipeline",
    "clouddeploy.googleapis.com/Target": "clouddeploy.v1:Target",
    "cloudfunctions.googleapis.com/CloudFunction": "cloudfunctions.v1:CloudFunction",
    "cloudfunctions.googleapis.com/Function": "cloudfunctions.v2:Function",
    "cloudresourcemanager.googleapis.com/Folder": "cloudresourcemanager.v2:Folder",
    "cloudresourcemanager.googleapis.com/Project": "cloudresourcemanager.v1:Project",
    "composer.googleapis.com/Environment": "composer.v1:Environment",
    "compute.googleapis.com/Instance": "compute.v1:Instance",
    "container.googleapis.com/Cluster": "container.v1:Cluster",
    "iam.googleapis.com/Role": "iam.v1:Role",
    "iam.googleapis.com/ServiceAccount": "iam.v1:ServiceAccount",
    "iam.googleapis.com/ServiceAccountKey": "iam.v1:ServiceAccountKey",
    "iam.googleapis.com/WorkloadIdentityPool": "iam.v1:WorkloadIdentityPool",
    "iam.googleapis.com/WorkloadIdentityPoolProvider": "iam.v1:WorkloadIdentityPoolProvider",
    "orgpolicy.googleapis.com/Policy": "orgpolicy.v2:GoogleCloudOrgpolicyV2Policy",
    "run.googleapis.com/Job": "run.v1:Job",
    "run.googleapis.com/Service": "run.v1:Service",
    "secretmanager.googleapis.com/Secret": "secretmanager.v1:Secret",
    "secretmanager.googleapis.com/SecretVersion": "secretmanager.v1:SecretVersion",
}
COMPANY = build(2)
ORGANIZATION = f"organizations/{COMPANY.number}"
POOL = "projects/lantern-build/locations/global/workloadIdentityPools"
DENY = (
    f"/iam/v2/policies/{quote(f'cloudresourcemanager.googleapis.com/{ORGANIZATION}', safe='')}/denypolicies"
)
USE = "/policyanalyzer/v1/projects/lantern-data/locations/global/activityTypes"
ANSWERS = {
    f"/cloudasset/v1/{ORGANIZATION}/assets?contentType=RESOURCE": "cloudasset.v1:ListAssetsResponse",
    f"/cloudasset/v1/{ORGANIZATION}/assets?contentType=IAM_POLICY": "cloudasset.v1:ListAssetsResponse",
    f"/cloudasset/v1/{ORGANIZATION}:searchAllIamPolicies": "cloudasset.v1:SearchAllIamPoliciesResponse",
    f"/cloudasset/v1/{ORGANIZATION}:searchAllResources": "cloudasset.v1:SearchAllResourcesResponse",
    f"/cloudresourcemanager/v3/{ORGANIZATION}": "cloudresourcemanager.v3:Organization",
    "/cloudresourcemanager/v3/folders/710000000001": "cloudresourcemanager.v3:Folder",
    "/cloudresourcemanager/v3/projects/lantern-shop": "cloudresourcemanager.v3:Project",
    "/cloudresourcemanager/v3/projects:search": "cloudresourcemanager.v3:SearchProjectsResponse",
    "POST /cloudresourcemanager/v3/projects/lantern-shop:getIamPolicy": "cloudresourcemanager.v3:Policy",
    "/iam/v1/roles?view=FULL": "iam.v1:ListRolesResponse",
    "/iam/v1/projects/lantern-data/serviceAccounts": "iam.v1:ListServiceAccountsResponse",
    f"/iam/v1/projects/-/serviceAccounts/{COMPANY.projects['lantern-data'].email('notebook')}/keys": (
        "iam.v1:ListServiceAccountKeysResponse"
    ),
    f"/iam/v1/{POOL}": "iam.v1:ListWorkloadIdentityPoolsResponse",
    f"/iam/v1/{POOL}/github/providers": "iam.v1:ListWorkloadIdentityPoolProvidersResponse",
    DENY: "iam.v2:GoogleIamV2ListPoliciesResponse",
    f"{DENY}/no-keys": "iam.v2:GoogleIamV2Policy",
    f"{USE}/serviceAccountLastAuthentication/activities:query": (
        "policyanalyzer.v1:GoogleCloudPolicyanalyzerV1QueryActivityResponse"
    ),
    f"{USE}/serviceAccountKeyLastAuthentication/activities:query": (
        "policyanalyzer.v1:GoogleCloudPolicyanalyzerV1QueryActivityResponse"
    ),
    "/recommender/v1/projects/lantern-lab/locations/global/recommenders/google.iam.policy.Recommender/recommendations": (
        "recommender.v1:GoogleCloudRecommenderV1ListRecommendationsResponse"
    ),
    "/storage/storage/v1/projects/lantern-data/hmacKeys": "storage.v1:HmacKeysMetadata",
    "/workflows/v1/projects/lantern-data/locations/-/workflows": "workflows.v1:ListWorkflowsResponse",
}


def problems(value: Any, kind: Any, place: str = "") -> Iterator[str]:
    """Yield where a value is not of a published kind."""
    match kind:
        case str() if kind.startswith("#"):
            yield from problems(value, {"fields": SCHEMAS[kind[1:]]}, place)
        case {"fields": fields}:
            if not isinstance(value, dict):
                yield f"{place} is no object"
                return
            for name, part in value.items():
                if name in fields:
                    yield from problems(part, fields[name], f"{place}.{name}")
                else:
                    yield f"{place}.{name} is no field"
        case {"enum": values}:
            if value not in values:
                yield f"{place} has {value}"
        case {"map": one}:
            if not isinstance(value, dict):
                yield f"{place} is no map"
                return
            for name, part in value.items():
                yield from problems(part, one, f"{place}[{name}]")
        case [one]:
            if not isinstance(value, list):
                yield f"{place} is no list"
                return
            for part in value:
                yield from problems(part, one, f"{place}[]")
        case "any":
            pass
        case _:
            if not _is(value, *kind.split()):
                yield f"{place} is no {kind}: {value!r}"


def _is(value: Any, kind: str, form: str = "") -> bool:
    if kind == "string":
        if not isinstance(value, str):
            return False
        if form in {"google-datetime", "date-time"}:
            return bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value)) and bool(
                datetime.fromisoformat(value)
            )
        return not form.endswith("int64") or value.isdigit()
    python = {"boolean": bool, "integer": int, "number": float}[kind]
    return isinstance(value, python) and (python is bool or not isinstance(value, bool))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[GcpSandbox]:
    with GcpSandbox(page=1000) as made:
        yield made


@pytest.mark.parametrize("call", ANSWERS)
def test_answers_are_as_published(sandbox: GcpSandbox, call: str) -> None:
    method, _, path = call.rpartition(" ")
    headers = {"authorization": f"Bearer {sandbox.token.value}"}
    answer = sandbox.handle(method or "GET", path, headers, b"{}" if method else b"")
    body = json.loads(answer.body)
    assert answer.status == 200, body
    assert body
    assert list(problems(body, f"#{ANSWERS[call]}")) == []


@pytest.mark.parametrize("kind", TYPES)
def test_data_of_assets_is_as_published(kind: str) -> None:
    rows = [row["resource"] for row in COMPANY.assets if row["assetType"] == kind]
    assert rows
    for row in rows:
        schema = TYPES[kind]
        if kind == "run.googleapis.com/Service" and row["version"] == "v2":
            schema = "run.v2:GoogleCloudRunV2Service"
        assert row["version"] in {schema.partition(":")[0].partition(".")[2], "v1"}
        assert list(problems(row["data"], f"#{schema}")) == []


def test_types_of_iam_v3_are_those_of_the_library() -> None:
    from google.cloud.iam_v3 import PolicyBinding, PrincipalAccessBoundaryPolicy
    from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]  # the library has no types

    kinds: dict[str, Any] = {
        "iam.googleapis.com/PolicyBinding": PolicyBinding,
        "iam.googleapis.com/PrincipalAccessBoundaryPolicy": PrincipalAccessBoundaryPolicy,
    }
    rows = [row for row in COMPANY.assets if row["assetType"] in kinds]
    assert {row["assetType"] for row in rows} == set(kinds)
    for row in rows:
        assert ParseDict(row["resource"]["data"], kinds[row["assetType"]].pb()()).name
    assert {row["assetType"] for row in COMPANY.assets} == TYPES.keys() | kinds.keys()


def test_what_is_not_published_is_noticed() -> None:
    key = {"name": "k", "keyType": "USER", "validAfterTime": "yesterday", "disabled": "true", "keyAge": 3}
    assert list(problems(key, "#iam.v1:ServiceAccountKey", "key")) == [
        "key.keyType has USER",
        "key.validAfterTime is no string google-datetime: 'yesterday'",
        "key.disabled is no boolean: 'true'",
        "key.keyAge is no field",
    ]
