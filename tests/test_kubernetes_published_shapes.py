"""The simulated API server answers in the shapes of the OpenAPI document of Kubernetes 1.36, which knows no other fields."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from sandbox.kubernetes import company, open_sandbox, small
from sandbox.kubernetes.resource_types import ALL, NEW, VERSIONS, type_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.kubernetes import KubernetesSandbox

PUBLISHED: dict[str, Any] = json.loads(
    gzip.decompress((Path(__file__).parent / "data/schemas/kubernetes-api-1.36.json.gz").read_bytes())
)


@cache
def validator(api_version: str, kind: str) -> Any:
    name = PUBLISHED["kinds"][f"{api_version} {kind}"]
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": PUBLISHED["$defs"]})


def unlike(document: dict[str, Any]) -> list[str]:
    """Return what the published schema of its kind finds wrong with a document."""
    # The answer of /api does not say its version.
    checker = validator(document.get("apiVersion", "v1"), document["kind"])
    return [
        f"{document['kind']} {one.json_path}: {one.message[:150]}" for one in checker.iter_errors(document)
    ]


@pytest.fixture(scope="module")
def served() -> Iterator[KubernetesSandbox]:
    with open_sandbox("company") as sandbox:
        yield sandbox


def get(sandbox: KubernetesSandbox, path: str, **headers: str) -> requests.Response:
    given = {"Authorization": f"Bearer {sandbox.token}", **headers}
    return requests.get(f"{sandbox.url}{path}", headers=given, timeout=10)


@pytest.mark.parametrize("build", [company.build, small.build], ids=["company", "small"])
@pytest.mark.parametrize("night", [1, 2])
def test_every_built_in_object_has_its_published_shape(build: Any, night: int) -> None:
    wrong = [
        f"{row['metadata'].get('namespace')}/{row['metadata']['name']} {line}"
        for _, row in build(night, NEW).everything()
        if not type_of(row["apiVersion"], row["kind"]).custom
        for line in unlike(row)
    ]
    assert wrong == []


def test_lists_have_their_published_shape(served: KubernetesSandbox) -> None:
    for one in served.cluster.types():
        if one.custom:
            continue
        answer = get(served, f"{one.root}/{one.plural}?limit=2")
        assert unlike(answer.json()) == []
        # Lists that the scanner may not read are refused in the server's own words.
        assert answer.json()["kind"] == (f"{one.kind}List" if answer.status_code == 200 else "Status")


def test_discovery_and_reviews_have_their_published_shape(served: KubernetesSandbox) -> None:
    groups = get(served, "/apis").json()
    assert unlike(groups) == []
    assert unlike(get(served, "/api").json()) == []
    for group in groups["groups"]:
        assert unlike(get(served, f"/apis/{group['name']}").json()) == []
        for version in group["versions"]:
            assert unlike(get(served, f"/apis/{version['groupVersion']}").json()) == []
    asked = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}}}  # fmt: skip
    review = requests.post(
        f"{served.url}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        json=asked,
        headers={"Authorization": f"Bearer {served.token}"},
        timeout=10,
    )
    assert review.status_code == 201
    assert unlike(review.json()) == []


def test_a_field_that_is_not_published_is_noticed() -> None:
    cluster = company.build(1, NEW)
    row = cluster.listed("pods")[0]
    assert unlike(row) == []
    changed = {**row, "spec": {**row["spec"], "serviceaccountname": "x"}}
    del changed["spec"]["containers"]
    assert len(unlike(changed)) == 2


def test_both_versions_have_what_they_have() -> None:
    old, new = ({one.key for one in small.build(1, version).types()} for version in reversed(VERSIONS))
    # https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/ : v1 since 1.36.
    assert {one.partition(".")[0] for one in new - old} == {
        "clustertrustbundles",
        "imagevalidatingpolicies",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "validatingpolicies",
    }
    assert old < new
    assert len({(one.group, one.version, one.plural) for one in ALL}) == len(ALL)
