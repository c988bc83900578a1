"""The simulated API server does what https://kubernetes.io/docs/reference/using-api/api-concepts/ says of a real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from sandbox.kit.authority import CertificateAuthority
from sandbox.kit.issued import ISSUED
from sandbox.kubernetes import company, open_sandbox
from sandbox.kubernetes.authorization import AskedAccess, ClusterCaller, reason, service_account
from sandbox.kubernetes.resource_types import NEW, VERSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.kubernetes import KubernetesSandbox

TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
UNKNOWN = "application/json;as=Tabel;g=meta.k8s.io;v=v1"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@pytest.fixture
def served() -> Iterator[KubernetesSandbox]:
    with open_sandbox("company") as sandbox:
        yield sandbox


def get(sandbox: KubernetesSandbox, path: str, token: str | None = None, **headers: str) -> requests.Response:
    given = {"Authorization": f"Bearer {sandbox.token if token is None else token}", **headers}
    return requests.get(f"{sandbox.url}{path}", headers=given, timeout=10)


def names(body: dict[str, Any]) -> list[str]:
    return [one["metadata"]["name"] for one in body["items"]]


def test_pages_keep_one_resource_version_and_say_how_much_is_left(served: KubernetesSandbox) -> None:
    whole = get(served, "/api/v1/serviceaccounts").json()
    first = get(served, "/api/v1/serviceaccounts?limit=40").json()
    assert first["metadata"]["remainingItemCount"] == len(whole["items"]) - 40
    rest = get(served, f"/api/v1/serviceaccounts?continue={first['metadata']['continue']}").json()
    assert names(first) + names(rest) == names(whole)
    assert rest["metadata"] == {"resourceVersion": first["metadata"]["resourceVersion"]}
    # A selector: how many are left is unknown.
    selected = get(served, "/api/v1/pods?limit=1&fieldSelector=status.phase=Running").json()
    assert set(selected["metadata"]) == {"resourceVersion", "continue"}


def test_an_expired_token_comes_with_one_that_works(served: KubernetesSandbox) -> None:
    first = get(served, "/api/v1/pods?limit=10").json()
    served.compacted = served.cluster.resource_version
    served.cluster.resource_version += 1
    gone = get(served, f"/api/v1/pods?limit=10&continue={first['metadata']['continue']}")
    assert (gone.status_code, gone.json()["reason"]) == (410, "Expired")
    rest = get(served, f"/api/v1/pods?continue={gone.json()['metadata']['continue']}").json()
    assert names(first) + names(rest) == names(get(served, "/api/v1/pods").json())


@pytest.mark.parametrize(("kind", "fresh"), [("expired", True), ("expired-bare", False)])
def test_a_fault_expires_a_token(served: KubernetesSandbox, kind: str, fresh: bool) -> None:
    served.fail("GET /api/v1/pods", kind, times=2)
    first = get(served, "/api/v1/pods?limit=10")
    assert first.status_code == 200, "there is no token to expire"
    gone = get(served, f"/api/v1/pods?continue={first.json()['metadata']['continue']}")
    assert gone.status_code == 410
    assert ("continue" in gone.json()["metadata"]) is fresh


def test_a_token_that_is_none_is_refused(served: KubernetesSandbox) -> None:
    assert get(served, "/api/v1/pods?continue=nothing").status_code == 400


@pytest.mark.parametrize("accept", [TABLE, METADATA])
def test_secrets_can_be_listed_without_their_values(served: KubernetesSandbox, accept: str) -> None:
    body = get(served, "/api/v1/secrets", Accept=accept).json()
    rows = body.get("rows") or body["items"]
    assert len(rows) == 10
    # What `kubectl apply` wrote into annotations is metadata: a client must leave it.
    for row in rows:
        row.get("object", row)["metadata"].pop("annotations", None)
    assert not any(value in json.dumps(body) for value in ISSUED if len(value) >= 12)
    if accept == TABLE:
        assert [one["name"] for one in body["columnDefinitions"]] == ["Name", "Type", "Data", "Age"]
        assert ["psp-key", "Opaque", 1, "90d"] in [row["cells"] for row in rows]


def test_plain_json_has_the_values(served: KubernetesSandbox) -> None:
    text = get(served, "/api/v1/secrets").text
    assert sum(value in text for value in ISSUED) >= 10


@pytest.mark.parametrize(
    ("accept", "status", "kind"),
    [
        (UNKNOWN, 406, "Status"),
        (f"{UNKNOWN},application/json", 200, "SecretList"),
        (METADATA.replace("List", ""), 406, "Status"),
        ("text/html", 406, "Status"),
        ("*/*", 200, "SecretList"),
    ],
)
def test_a_form_that_there_is_none_of_is_refused_or_replaced(
    served: KubernetesSandbox, accept: str, status: int, kind: str
) -> None:
    answer = get(served, "/api/v1/secrets", Accept=accept)
    assert (answer.status_code, answer.json()["kind"]) == (status, kind)


def test_an_object_has_forms_too(served: KubernetesSandbox) -> None:
    path = "/api/v1/namespaces/kube-system/configmaps/aws-auth"
    assert "mapRoles" in get(served, path).json()["data"]
    partial = get(served, path, Accept=METADATA.replace("List", "")).json()
    assert (partial["kind"], "data" in partial) == ("PartialObjectMetadata", False)
    assert get(served, path, Accept=METADATA).status_code == 406
    assert get(served, path.replace("aws-auth", "none")).status_code == 404
    assert get(served, path.replace("configmaps/aws-auth", "secrets/any")).status_code == 403


def test_secrets_of_one_type(served: KubernetesSandbox) -> None:
    chosen = "fieldSelector=type%3Dkubernetes.io/service-account-token"
    body = get(served, f"/api/v1/secrets?{chosen}", Accept=METADATA).json()
    assert names(body) == ["ci-deployer-token", "pusher-token", "old-bot-token"]
    labels = [one["metadata"].get("labels") for one in body["items"]]
    assert labels == [
        {"kubernetes.io/legacy-token-last-used": "2026-11-21"},
        None,
        {"kubernetes.io/legacy-token-last-used": "2026-02-03"},
    ]
    assert get(served, "/api/v1/secrets?fieldSelector=data%3Dx").status_code == 400


def test_built_in_items_do_not_repeat_their_kind_and_custom_ones_do(served: KubernetesSandbox) -> None:
    assert "kind" not in get(served, "/api/v1/pods?limit=1").json()["items"][0]
    stores = get(served, "/apis/external-secrets.io/v1/clustersecretstores").json()
    assert {one["kind"] for one in stores["items"]} == {"ClusterSecretStore"}


def test_what_is_not_installed_is_not_found(served: KubernetesSandbox) -> None:
    groups = {one["name"]: one for one in get(served, "/apis").json()["groups"]}
    assert "cert-manager.io" not in groups
    answer = get(served, "/apis/cert-manager.io/v1/certificates")
    # RBAC is asked first: the scanner learns nothing of paths that it may not get.
    assert answer.status_code in {403, 404}
    # The highest stable version is preferred, and need not have every resource.
    assert groups["kyverno.io"]["preferredVersion"]["version"] == "v2"
    assert get(served, "/apis/kyverno.io/v2/clusterpolicies").status_code == 404
    assert get(served, "/apis/kyverno.io/v1/clusterpolicies").status_code == 200


def test_who_may_list_what(served: KubernetesSandbox) -> None:
    developer = next(token for token in served.callers if token != served.token)
    refused = get(served, "/api/v1/secrets", developer)
    assert refused.status_code == 403
    assert refused.json()["message"] == (
        'secrets is forbidden: User "maya.lindt@lanternpay.example" cannot list resource "secrets" in API group "" '
        "at the cluster scope"
    )
    assert get(served, "/api/v1/pods", "nobody's").status_code == 401
    assert requests.get(f"{served.url}/version", timeout=10).status_code == 200, "everyone may"
    assert requests.get(f"{served.url}/api/v1/pods", timeout=10).status_code == 403
    assert get(served, "/.well-known/openid-configuration").json()["issuer"] == company.ISSUER


def test_what_is_revoked_is_refused_and_said_so_by_a_review(served: KubernetesSandbox) -> None:
    asked = {"spec": {"resourceAttributes": {"verb": "list", "resource": "nodes"}}}
    given = {"Authorization": f"Bearer {served.token}"}
    assert "list nodes" in served.permissions()
    for allowed in (True, False):
        review = requests.post(f"{served.url}{REVIEWS}", json=asked, headers=given, timeout=10)
        assert (review.status_code, review.json()["status"]["allowed"]) == (201, allowed)
        assert get(served, "/api/v1/nodes").status_code == (200 if allowed else 403)
        served.revoke("list nodes")
    served.restore()
    assert get(served, "/api/v1/nodes").status_code == 200


def test_a_large_answer_is_compressed_for_who_can_read_it(served: KubernetesSandbox) -> None:
    path = "/api/v1/pods"
    served.smallest_zipped = 50_000
    zipped = get(served, path, **{"Accept-Encoding": "gzip"})
    assert zipped.headers["Content-Encoding"] == "gzip"
    plain = get(served, path, **{"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.json() == zipped.json()
    assert "Content-Encoding" not in get(served, "/api/v1/nodes").headers


def test_a_client_certificate_names_a_user_and_groups() -> None:
    with CertificateAuthority() as authority, open_sandbox("small", authority=authority) as sandbox:
        config = json.loads(Path(sandbox.connection()["kubeconfig"]).read_text())
        assert config["clusters"][0]["cluster"]["server"] == sandbox.url
        url = f"{sandbox.url}/api/v1/configmaps"
        for organization, status in (("system:masters", 200), ("readers", 403)):
            certificate, key = authority.client("maya", (organization,))
            path = authority.bundle.with_name(f"{organization.replace(':', '-')}.pem")
            path.write_bytes(certificate + key)
            answer = requests.get(url, cert=str(path), verify=str(authority.bundle), timeout=10)
            assert answer.status_code == status
            assert status == 200 or 'User "maya"' in answer.json()["message"]
        # Nobody can name himself by a header.
        forged = {"Sandbox-Client-Subject": '["admin", "system:masters"]'}
        assert requests.get(url, headers=forged, verify=str(authority.bundle), timeout=10).status_code == 403


CLUSTER = company.build(1, NEW)
PROMETHEUS = service_account("monitoring", "prometheus")


@pytest.mark.parametrize(
    ("caller", "access", "allowed"),
    [
        (PROMETHEUS, AskedAccess(verb="get", resource="nodes/proxy", name="n"), True),
        (PROMETHEUS, AskedAccess(verb="create", resource="nodes/proxy", name="n"), False),
        (PROMETHEUS, AskedAccess(verb="get", path="/metrics"), True),
        (service_account("backup", "verifier"), AskedAccess(verb="get", resource="secrets", namespace="backup", name="backup-key"), True),
        (service_account("backup", "verifier"), AskedAccess(verb="get", resource="secrets", namespace="backup", name="other"), False),
        (service_account("backup", "verifier"), AskedAccess(verb="list", resource="secrets", namespace="backup"), False),
        # A cluster role that is bound in a namespace counts there.
        (service_account("web", "default"), AskedAccess(verb="list", resource="secrets", namespace="web"), True),
        (service_account("web", "default"), AskedAccess(verb="list", resource="secrets", namespace="payments"), False),
        (service_account("web", "default"), AskedAccess(verb="list", resource="secrets"), False),
        # The role of the binding is missing.
        (service_account("web", "renderer"), AskedAccess(verb="delete", resource="pods", namespace="web"), False),
        # Nobody is bound to this role.
        (service_account("support", "log-reader"), AskedAccess(verb="impersonate", resource="users"), False),
        (ClusterCaller(name="x", groups=("system:masters",)), AskedAccess(verb="delete", resource="nodes"), True),
        (service_account("gitlab-agent", "gitlab-agent"), AskedAccess(verb="delete", resource="nodes"), True),
        # https://kubernetes.io/docs/reference/access-authn-authz/rbac/#user-facing-roles : view has no secrets.
        (ClusterCaller(name="x", groups=("payments-developers",)), AskedAccess(verb="list", resource="pods", namespace="payments"), True),
        (ClusterCaller(name="x", groups=("payments-developers",)), AskedAccess(verb="get", resource="secrets", namespace="payments", name="psp-key"), False),
    ],
)  # fmt: skip
def test_rbac_is_that_of_the_documentation(caller: ClusterCaller, access: AskedAccess, allowed: bool) -> None:
    assert (reason(CLUSTER, caller, access) is not None) is allowed


@pytest.mark.parametrize("version", VERSIONS)
def test_the_scanner_of_the_small_cluster_may_list_what_it_is_granted(version: str) -> None:
    with open_sandbox("small", version) as sandbox:
        for permission in sandbox.permissions():
            verb, _, key = permission.partition(" ")
            one = next(found for found in sandbox.cluster.types() if found.key == key)
            if verb == "list":
                assert get(sandbox, f"{one.root}/{one.plural}").status_code == 200, permission
