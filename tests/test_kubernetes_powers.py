"""What rules of roles give. Expected values are from Kubernetes' own documentation and default roles.

https://kubernetes.io/docs/concepts/security/rbac-good-practices/,
https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from collectors.kubernetes import evaluate
from collectors.kubernetes.evaluator.bindings import selects
from collectors.kubernetes.evaluator.grants import MISSING
from collectors.kubernetes.evaluator.rules import allowed, rules_of
from collectors.kubernetes.evaluator.ways import is_platform_subject, rbac_powers
from scanner.policies import canonical_document, policy_record
from scanner.records import Credential, Grant, Identity, Link, Policy, Record

CLUSTER = "kubernetes:cluster:c"
NOW = datetime(2026, 11, 30, tzinfo=UTC)
RBAC = "rbac.authorization.k8s.io"


def rule(verbs: str, resources: str, group: str = "", *names: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "apiGroups": [group],
        "resources": resources.split(),
        "verbs": verbs.split(),
    }
    return {**found, **({"resourceNames": list(names)} if names else {})}


def powers(*rules: dict[str, Any], namespaced: bool = False) -> list[str]:
    return list(allowed(rules_of(list(rules)), namespaced=namespaced).powers)


@pytest.mark.parametrize(
    ("given", "power"),
    [
        (rule("escalate", "clusterroles", RBAC), "grant-access"),
        (rule("bind", "clusterroles", RBAC), "grant-access"),
        (rule("create", "clusterrolebindings", RBAC), "grant-access"),
        (rule("patch", "rolebindings", RBAC), "grant-access"),
        (rule("patch", "mutatingwebhookconfigurations", "admissionregistration.k8s.io"), "grant-access"),
        (rule("delete", "validatingadmissionpolicybindings", "admissionregistration.k8s.io"), "grant-access"),
        (rule("update", "k8srequiredlabels", "constraints.gatekeeper.sh"), "grant-access"),
        (rule("patch", "namespaces"), "grant-access"),
        (rule("impersonate", "users groups"), "become-other"),
        (rule("impersonate", "serviceaccounts"), "become-other"),
        (rule("impersonate", "userextras/scopes", "authentication.k8s.io"), "become-other"),
        (rule("create", "serviceaccounts/token"), "become-other"),
        (rule("create", "pods"), "become-other"),
        (rule("patch", "daemonsets", "apps"), "become-other"),
        (rule("create", "cronjobs", "batch"), "become-other"),
        (rule("update", "pods/ephemeralcontainers"), "become-other"),
        (rule("create", "pods/exec"), "become-other"),
        (rule("get", "pods/exec"), "become-other"),
        (rule("create", "pods/attach"), "become-other"),
        (rule("get", "nodes/proxy"), "become-other"),
        (rule("create", "persistentvolumes"), "become-other"),
        (rule("watch", "secrets"), "become-other"),
        (rule("create", "applications", "argoproj.io"), "change-delivery"),
        (rule("create", "helmreleases", "helm.toolkit.fluxcd.io"), "deploy"),
        (rule("patch", "gitrepositories", "source.toolkit.fluxcd.io"), "change-delivery"),
        (rule("update", "configmaps"), "change-data"),
        (rule("get", "configmaps"), "read-data"),
        (rule("get", "pods/log"), "read-data"),
        (rule("create", "pods/portforward"), "read-data"),
        (rule("list", "pods"), "read"),
        (rule("create update", "events"), "read"),
        (rule("update", "leases", "coordination.k8s.io"), "read"),
        (rule("create", "selfsubjectaccessreviews", "authorization.k8s.io"), "read"),
        (rule("*", "*", "*"), "admin"),
    ],
)
def test_the_strongest_power_of_a_rule(given: dict[str, Any], power: str) -> None:
    assert powers(given)[0] == power


@pytest.mark.parametrize(
    ("given", "power"),
    [
        # `pods` does not contain its subresources, and a group without it is another group.
        (rule("create", "pods/exec", "metrics.k8s.io"), "change-data"),
        (rule("get list", "pods"), "read"),
        (rule("get", "nodes"), "read"),
        (rule("create", "bindings"), "change-data"),
        # A create request has no name, so a rule with names allows none.
        (rule("create", "pods", "", "web"), "read"),
        (rule("approve", "signers", "certificates.k8s.io"), "read"),
        (rule("get", "serviceaccounts/token"), "read"),
    ],
)
def test_a_look_alike_does_not_give_more(given: dict[str, Any], power: str) -> None:
    found = powers(given)
    assert "become-other" not in found
    assert "grant-access" not in found
    assert "read-secrets" not in found


def test_a_wildcard_subresource_contains_exec() -> None:
    assert "become-other" in powers(rule("create", "*/exec"))
    assert "become-other" in powers(rule("create", "*"))


def test_secrets_are_read_by_each_verb_and_not_by_others() -> None:
    for verb in ("get", "list", "watch"):
        assert "read-secrets" in powers(rule(verb, "secrets"))
    assert "read-secrets" not in powers(rule("delete", "secrets"))
    assert "become-other" not in powers(rule("create", "secrets"))
    assert "become-other" in powers(rule("create get", "secrets"))


def test_approval_of_certificates_needs_request_approval_and_signer() -> None:
    group = "certificates.k8s.io"
    request = rule("create get list watch", "certificatesigningrequests", group)
    approval = rule("update", "certificatesigningrequests/approval", group)
    signer = rule("approve", "signers", group, "kubernetes.io/kube-apiserver-client")
    assert "become-other" in powers(request, approval, signer)
    assert "become-other" in powers(request, approval, rule("approve", "signers", group, "kubernetes.io/*"))
    assert "become-other" not in powers(request, approval)
    assert "become-other" not in powers(
        request, approval, rule("approve", "signers", group, "kubernetes.io/kubelet-serving")
    )
    assert "become-other" not in powers(request, approval, rule("approve", "signers", group, "acme.com/*"))


def test_a_binding_in_a_namespace_gives_nothing_on_resources_of_the_cluster() -> None:
    assert powers(rule("get", "nodes/proxy"), namespaced=True) == ["read"]
    assert powers(rule("get list", "nodes"), namespaced=True) == []
    assert powers(rule("impersonate", "users groups"), namespaced=True) == []
    assert "grant-access" not in powers(
        rule("create", "clusterrolebindings mutatingwebhookconfigurations", "*"), namespaced=True
    )
    assert powers({"nonResourceURLs": ["*"], "verbs": ["*"]}, namespaced=True) == []
    assert powers({"nonResourceURLs": ["/metrics"], "verbs": ["get"]}) == ["read"]


def test_the_default_role_view_reads_no_secret() -> None:
    # The first rules of system:aggregate-to-view, as a server of 1.36 has them.
    view = rule(
        "get list watch",
        "configmaps endpoints persistentvolumeclaims pods replicationcontrollers serviceaccounts services",
    )
    assert powers(view, rule("get list watch", "deployments deployments/scale daemonsets", "apps")) == [
        "read-data",
        "read",
    ]


def test_the_default_role_edit_is_more_than_editing() -> None:
    edit = [
        rule("get list watch", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
        rule("impersonate", "serviceaccounts"),
        rule(
            "create delete deletecollection patch update",
            "pods pods/attach pods/exec pods/portforward pods/proxy",
        ),
        rule("create delete deletecollection patch update", "configmaps secrets serviceaccounts services"),
        rule("create", "serviceaccounts/token"),
    ]
    assert powers(*edit, namespaced=True) == [
        "become-other", "read-secrets", "deploy", "change-data", "read-data", "read",
    ]  # fmt: skip


def test_every_way_has_a_source_and_an_id_of_its_own() -> None:
    ways = rbac_powers().ways
    assert len({way.id for way in ways}) == len(ways)
    assert all(way.source.startswith("https://") for way in ways)
    for way in ways:
        group, _, resource = way.resources[0].partition("/")
        name = resource.replace("*", "anything")
        also = [
            rule(
                part.split()[0],
                part.split()[1].partition("/")[2],
                part.split()[1].partition("/")[0].replace("core", ""),
            )
            for part in way.also
        ]
        found = powers(rule(way.verbs[0], name, "" if group == "core" else group), *also)
        assert way.power in found, way.id


def test_the_platform_is_recognized_by_name_and_everybody_is_not_it() -> None:
    assert is_platform_subject("Group", "system:masters")
    assert is_platform_subject("User", "system:kube-scheduler")
    assert is_platform_subject("User", "eks:node-manager")
    assert not is_platform_subject("Group", "system:authenticated")
    assert not is_platform_subject("Group", "system:unauthenticated")
    assert not is_platform_subject("User", "system:anonymous")
    assert not is_platform_subject("Group", "system:serviceaccounts:payments")
    assert not is_platform_subject("User", "anna@acme.example")


def test_label_selectors() -> None:
    labels = {"app": "web", "tier": "front"}
    assert selects({}, labels)
    assert selects({"matchLabels": {"app": "web"}}, labels)
    assert not selects({"matchLabels": {"app": "api"}}, labels)
    assert selects({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["front"]}]}, labels)
    assert selects({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["y"]}]}, labels)
    assert not selects({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, labels)
    assert not selects({"matchExpressions": [{"key": "x", "operator": "Exists"}]}, labels)
    assert not selects({"matchExpressions": [{"key": "app", "operator": "Gt", "values": ["1"]}]}, labels)


# Bindings


def policy(kind: str, uid: str, document: dict[str, Any]) -> Policy:
    return policy_record(
        provider="kubernetes", account_id=CLUSTER, kind=kind, native_id=uid, name=uid,
        document=canonical_document(document), attached_to=[],
    )  # fmt: skip


def cluster_role(name: str, *rules: dict[str, Any], **more: Any) -> Policy:
    labels = more.pop("labels", {})
    return policy(
        "cluster-role",
        f"role-{name}",
        {"metadata": {"name": name, "labels": labels}, "rules": list(rules), **more},
    )


def bound(
    name: str, role: str, *subjects: dict[str, str], namespace: str = "", kind: str = "ClusterRole"
) -> Policy:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return policy(
        "role-binding" if namespace else "cluster-role-binding",
        f"binding-{name}",
        {"metadata": metadata, "roleRef": {"kind": kind, "name": role}, "subjects": list(subjects)},
    )


def robot(namespace: str, name: str) -> dict[str, str]:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def account(namespace: str, name: str, **more: Any) -> Identity:
    return Identity(
        id=f"kubernetes:service-account:c/{namespace}/{name}", provider="kubernetes", account_id=CLUSTER,
        surface="automation", kind="service-account", native_id=name, name=f"{namespace}/{name}", **more,
    )  # fmt: skip


def runs_as(target: Identity) -> Link:
    return Link(
        id=f"l{target.id}", provider="kubernetes", account_id=CLUSTER, source_id="w", relation="runs_as", target_id=target.id,
    )  # fmt: skip


def evaluated(policies: list[Policy], records: list[Record]) -> tuple[list[Grant], set[tuple[str, str]]]:
    found = list(evaluate(policies, records, NOW))
    grants = [row for row in found if isinstance(row, Grant)]
    short = "kubernetes:service-account:c/"
    links = {
        (row.source_id.removeprefix(short), row.target_id.removeprefix(short))
        for row in found
        if isinstance(row, Link)
    }
    return grants, links


A, B, C = account("pay", "a"), account("pay", "b"), account("web", "c")


def test_a_binding_in_a_namespace_is_narrower_than_one_in_the_cluster() -> None:
    role = cluster_role("reader", rule("get list", "secrets"))
    grants, _ = evaluated(
        [
            role,
            bound("wide", "reader", robot("pay", "a")),
            bound("narrow", "reader", robot("pay", "b"), namespace="pay"),
        ],
        [A, B, C],
    )
    wide, narrow = grants
    assert (wide.breadth, wide.resource, wide.identity_id) == ("account", "*", A.id)
    assert (narrow.breadth, narrow.resource, narrow.identity_id) == ("group", "namespaces/pay", B.id)
    assert wide.powers == narrow.powers == ["become-other", "read-secrets", "read"]
    assert "ClusterRoleBinding wide" in str(wide.via)


def test_who_creates_pods_becomes_the_accounts_of_the_namespace_alone() -> None:
    role = cluster_role("deployer", rule("create", "pods"))
    _, links = evaluated([role, bound("b", "deployer", robot("web", "c"), namespace="pay")], [A, B, C])
    assert links == {("web/c", "pay/a"), ("web/c", "pay/b")}
    _, links = evaluated([role, bound("b", "deployer", robot("web", "c"))], [A, B, C])
    assert links == {("web/c", "pay/a"), ("web/c", "pay/b")}


def test_exec_reaches_accounts_that_pods_run_as() -> None:
    role = cluster_role("debug", rule("create", "pods/exec"))
    _, links = evaluated([role, bound("b", "debug", robot("web", "c"))], [A, B, C, runs_as(B)])
    assert links == {("web/c", "pay/b")}


def test_names_limit_whose_token_is_created() -> None:
    role = cluster_role("broker", rule("create", "serviceaccounts/token", "", "b"))
    grants, links = evaluated([role, bound("b", "broker", robot("web", "c"), namespace="pay")], [A, B, C])
    assert links == {("web/c", "pay/b")}
    assert grants[0].breadth == "resource"


def test_read_secrets_reach_accounts_with_a_stored_token() -> None:
    token = Credential(
        id="t", provider="kubernetes", account_id=CLUSTER, identity_id=A.id, kind="service-account-token", native_id="t",
        name="t", lifetime="static",
    )  # fmt: skip
    role = cluster_role("reader", rule("list", "secrets"))
    _, links = evaluated([role, bound("b", "reader", robot("web", "c"))], [A, B, C, token])
    assert links == {("web/c", "pay/a")}


def test_impersonation_of_any_group_is_system_masters() -> None:
    role = cluster_role("helpdesk", rule("impersonate", "users groups"))
    _, links = evaluated([role, bound("b", "helpdesk", robot("web", "c"))], [A, C])
    assert links == {("web/c", "kubernetes:group:c/system:masters")}


def test_an_aggregated_role_without_rules_is_added_up() -> None:
    total = cluster_role(
        "total", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"sum/total": "true"}}]}
    )
    part = cluster_role("part", rule("get", "secrets"), labels={"sum/total": "true"})
    other = cluster_role("other", rule("*", "*", "*"), labels={"sum/total": "false"})
    grants, _ = evaluated([total, part, other, bound("b", "total", robot("pay", "a"))], [A])
    assert grants[0].powers == ["become-other", "read-secrets", "read"]


def test_a_missing_role_is_not_an_unread_one() -> None:
    known = cluster_role("known", rule("get", "pods"))
    grants, _ = evaluated([known, bound("b", "gone", robot("pay", "a"))], [A])
    assert (grants[0].via, grants[0].powers, grants[0].confidence) == (MISSING, [], "high")
    grants, _ = evaluated([bound("b", "gone", robot("pay", "a"))], [A])
    assert (grants[0].level, grants[0].confidence) == ("unknown", "low")
    assert grants[0].via != MISSING


def test_two_bindings_of_one_subject_add_up() -> None:
    group = "certificates.k8s.io"
    asks = cluster_role("asks", rule("create", "certificatesigningrequests", group))
    approves = cluster_role(
        "approves",
        rule("update", "certificatesigningrequests/approval", group),
        rule("approve", "signers", group, "kubernetes.io/kube-apiserver-client"),
    )
    both = [bound("one", "asks", robot("pay", "a")), bound("two", "approves", robot("pay", "a"))]
    grants, _ = evaluated([asks, approves, *both], [A])
    assert [grant.level for grant in grants] == ["write", "escalation"]
    apart = [bound("one", "asks", robot("pay", "b")), bound("two", "approves", robot("pay", "a"))]
    grants, _ = evaluated([asks, approves, *apart], [A, B])
    assert [grant.level for grant in grants] == ["write", "write"]


def test_the_platform_becomes_nobody_and_a_foreign_subject_does() -> None:
    role = cluster_role("controller", rule("create", "pods"))
    platform = account("kube-system", "job-controller", managed_by="provider")
    _, links = evaluated(
        [role, bound("b", "controller", robot("kube-system", "job-controller"), robot("web", "c"))],
        [A, C, platform],
    )
    assert links == {("web/c", "pay/a"), ("web/c", "kube-system/job-controller")}


def test_a_user_with_the_long_name_is_the_service_account() -> None:
    role = cluster_role("reader", rule("get", "secrets"))
    grants, _ = evaluated(
        [role, bound("b", "reader", {"kind": "User", "name": "system:serviceaccount:pay:a"})], [A]
    )
    assert grants[0].identity_id == A.id


def test_names_with_every_character_keep_grants_apart() -> None:
    role = cluster_role("reader", rule("get", "secrets"))
    names = ["a/b", "a b", "a\u202eb", "a:b", 'a"b', "é"]
    grants, _ = evaluated(
        [role, bound("b", "reader", *({"kind": "User", "name": name} for name in names))], []
    )
    assert len({grant.id for grant in grants}) == len(names)
    assert len({grant.identity_id for grant in grants}) == len(names)
