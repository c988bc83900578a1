"""Pods, service accounts and roles of clouds, joined by the tokens that the cluster's issuer signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scanner.records import Grant, Identity, Link, Test, level_of
from tests.test_delivery import compared
from tests.test_reach import analyzed, edges, grant, identity, listed, pipeline, trust

if TYPE_CHECKING:
    from pathlib import Path

ISSUER = "https://oidc.eks.eu-west-1.amazonaws.com/id/1"
CLUSTER = "kubernetes:cluster:prod"
SUBJECT = "system:serviceaccount:shop:web"


def account(name: str = "sa", subject: str = SUBJECT, **more: Any) -> Identity:
    given = {
        "kind": "service-account",
        "provider": "kubernetes",
        "account_id": CLUSTER,
        "issuer": ISSUER,
        **more,
    }
    return identity(name, subjects=[subject], **given)


def deployment(name: str, shown: str, **more: Any) -> Identity:
    return Identity(
        id=name, native_id=name, name=shown, surface="workload", kind="deployment", provider="kubernetes",
        account_id=CLUSTER, address=f"prod/{shown.replace('/', '/deployment/')}", **more,
    )  # fmt: skip


def of_cluster(source: str, relation: Any, target: str, **more: Any) -> Link:
    return Link(
        id=f"{source}-{relation}-{target}", provider="kubernetes", account_id=CLUSTER, source_id=source, relation=relation,
        target_id=target, **more,
    )  # fmt: skip


def test_a_pod_has_the_role_whose_trust_names_its_account(tmp_path: Path) -> None:
    pin = Test(claim="sub", operator="equals", values=[SUBJECT])
    with analyzed(
        tmp_path,
        deployment("web", "shop/web"),
        account(),
        account("other", "system:serviceaccount:shop:other"),
        account("elsewhere", issuer="https://oidc.eks.eu-west-1.amazonaws.com/id/2"),
        account("unknown", issuer=None),
        of_cluster("web", "runs_as", "sa"),
        identity("role"),
        trust("role", pin, issuer=ISSUER, audience=["sts.amazonaws.com"]),
    ) as tables:
        assert edges(tables) == [("sa", "trust", "role"), ("web", "runs_as", "sa")]


def test_an_association_of_the_cloud_gives_its_role_to_the_account_of_the_cluster(tmp_path: Path) -> None:
    # EKS Pod Identity: nothing in the cluster and no trust of the role names the account.
    associated = identity(
        "association", kind="eks-service-account", surface="workload", issuer=ISSUER, subjects=[SUBJECT]
    )
    with analyzed(
        tmp_path,
        account(issuer=f"{ISSUER}/"),
        account("other", "system:serviceaccount:shop:other"),
        account("elsewhere", issuer="https://oidc.eks.eu-west-1.amazonaws.com/id/2"),
        account("unknown", issuer=None),
        associated,
        of_cluster("association", "runs_as", "role"),
        identity("role"),
    ) as tables:
        assert edges(tables) == [
            ("association", "runs_as", "role"),
            ("association", "runs_as", "sa"),
            ("sa", "runs_as", "association"),
        ]


def test_identities_of_one_system_with_equal_tokens_stay_two(tmp_path: Path) -> None:
    with analyzed(tmp_path, account("a"), account("b"), of_cluster("a", "uses", "x")) as tables:
        assert edges(tables) == []


def cluster_grant(holder: str, *powers: Any) -> Grant:
    return Grant(
        id=f"g-{holder}", provider="kubernetes", account_id=CLUSTER, identity_id=holder, role="r", resource="*",
        breadth="account", powers=list(powers), level=level_of(list(powers)), conditional=False,
    )  # fmt: skip


def test_a_pipeline_is_compared_with_the_account_of_the_workload_that_it_deploys(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        pipeline("deploy", "s"),
        identity("role"),
        of_cluster("deploy", "uses", "role"),
        of_cluster("role", "member_of", "masters"),
        identity("masters", kind="kubernetes-group", provider="kubernetes", account_id=CLUSTER, surface=None),
        cluster_grant("masters", "admin", "read-secrets"),
        of_cluster(
            "deploy", "deploys", "kubernetes:workload:prod/shop/web",
            target_provider="kubernetes", target_kind="workload", target_name="shop/web",
        ),
        deployment("web", "shop/web"),
        deployment("other", "lab/web"),
        account(),
        of_cluster("web", "runs_as", "sa"),
        cluster_grant("sa", "read"),
        grant("role", "deploy"),
        listed(),
        listed(CLUSTER),
        listed("github:repo:1"),
    )  # fmt: skip
    assert found == {("deploy", "web"): (["admin", "read-secrets"], True)}
