"""Makes google-discovery.json of the discovery documents in the wheel of google-api-python-client, which is too large to depend on.

    pip download --no-deps google-api-python-client
    python tests/data/reduce_google_discovery.py google_api_python_client-*.whl > tests/data/google-discovery.json

Kept are the schemas of what the sandbox answers and what they lead to, and of each the fields that the sandbox names.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROOTS = {
    "cloudasset.v1": ["ListAssetsResponse", "SearchAllIamPoliciesResponse", "SearchAllResourcesResponse"],
    "cloudresourcemanager.v1": ["Project"],
    "cloudresourcemanager.v2": ["Folder"],
    "cloudresourcemanager.v3": ["Folder", "Organization", "Policy", "Project", "SearchProjectsResponse"],
    "iam.v1": [
        "ListRolesResponse",
        "ListServiceAccountKeysResponse",
        "ListServiceAccountsResponse",
        "ListWorkloadIdentityPoolProvidersResponse",
        "ListWorkloadIdentityPoolsResponse",
        "Policy",
    ],
    "iam.v2": ["GoogleIamV2ListPoliciesResponse", "GoogleIamV2Policy"],
    "policyanalyzer.v1": ["GoogleCloudPolicyanalyzerV1QueryActivityResponse"],
    "recommender.v1": ["GoogleCloudRecommenderV1ListRecommendationsResponse"],
    "storage.v1": ["HmacKeysMetadata"],
    "workflows.v1": ["ListWorkflowsResponse"],
    "aiplatform.v1": ["GoogleCloudAiplatformV1ReasoningEngine"],
    "apikeys.v2": ["V2Key"],
    "artifactregistry.v1": ["Repository"],
    "binaryauthorization.v1": ["Attestor", "Policy"],
    "cloudbuild.v1": ["BuildTrigger"],
    "clouddeploy.v1": ["DeliveryPipeline", "Target"],
    "cloudfunctions.v1": ["CloudFunction"],
    "cloudfunctions.v2": ["Function"],
    "composer.v1": ["Environment"],
    "compute.v1": ["Instance"],
    "container.v1": ["Cluster"],
    "orgpolicy.v2": ["GoogleCloudOrgpolicyV2Policy"],
    "run.v1": ["Job", "Service"],
    "run.v2": ["GoogleCloudRunV2Service"],
    "secretmanager.v1": ["Secret", "SecretVersion"],
}


def named() -> set[str]:
    """Return the words that the sandbox has in quotation marks, or as names of arguments."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "sandbox" / "gcp").glob("*.py")))
    return {word for pair in re.findall(r'"(\w+)"|\b(\w+)=', text) for word in pair}


def kind(field: dict[str, Any], api: str) -> Any:
    """Return the type of a field: a name, a list of one, a map, the values of an enumeration, or a reference to a schema."""
    if "$ref" in field:
        return f"#{api}:{field['$ref']}"
    if "enum" in field:
        return {"enum": field["enum"]}
    if field["type"] == "array":
        return [kind(field["items"], api)]
    if field["type"] == "object" and "properties" in field:
        return {"fields": {name: kind(one, api) for name, one in sorted(field["properties"].items())}}
    if field["type"] == "object":
        return {"map": kind(field.get("additionalProperties", {"type": "any"}), api)}
    return f"{field['type']} {field['format']}" if field.get("format") else field["type"]


def main(wheel: str) -> None:
    words = named()
    found: dict[str, Any] = {}
    revisions = {}
    with zipfile.ZipFile(wheel) as archive:
        for api, roots in ROOTS.items():
            path = f"googleapiclient/discovery_cache/documents/{api}.json"
            document = json.loads(archive.read(path))
            revisions[api] = document["revision"]
            left = list(roots)
            while left:
                name = left.pop()
                if f"{api}:{name}" in found:
                    continue
                fields = document["schemas"][name].get("properties", {})
                kept = {key: kind(one, api) for key, one in sorted(fields.items()) if key in words}
                found[f"{api}:{name}"] = kept
                left += [part.partition(":")[2] for part in re.findall(r'"#([\w.]+:\w+)"', json.dumps(kept))]
    name = Path(wheel).name
    source = f"Schemas of the discovery documents in {name}, Apache-2.0, https://pypi.org/project/google-api-python-client/"
    schemas = ",\n".join(f"{json.dumps(key)}: {json.dumps(found[key])}" for key in sorted(found))
    sys.stdout.write(
        f'{{\n"source": {json.dumps(source)},\n"revisions": {json.dumps(revisions)},\n"schemas": {{\n{schemas}\n}}}}\n'
    )


if __name__ == "__main__":
    main(sys.argv[1])
