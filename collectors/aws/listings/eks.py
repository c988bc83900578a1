"""EKS clusters: OIDC issuers, Pod Identity associations and access entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.client import items
from collectors.aws.failures import MalformedError
from collectors.aws.scope import PROVIDER, PartialReads, tags_of
from collectors.aws.times import utc
from collectors.aws.workloads import workload
from scanner.records import Account, Grant, Power, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.aws.scope import AwsScope
    from scanner.records import Record

ACCESS_POLICIES: dict[str, tuple[Power, ...]] = {
    "AmazonEKSClusterAdminPolicy": ("admin",),
    "AmazonEKSAdminPolicy": (
        "grant-access",
        "become-other",
        "read-secrets",
        "deploy",
        "change-data",
        "read-data",
        "read",
    ),
    "AmazonEKSEditPolicy": ("become-other", "read-secrets", "deploy", "change-data", "read-data", "read"),
    "AmazonEKSSecretReaderPolicy": ("read-secrets", "read"),
    "AmazonEKSAdminViewPolicy": ("read-secrets", "read-data", "read"),
    "AmazonEKSViewPolicy": ("read-data", "read"),
}
"""Powers of access policies by their Kubernetes permissions:
https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html. Edit can run pods under any service
account of a namespace, and so become it."""

_NODES = frozenset({"EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "HYBRID_LINUX", "EC2", "HYPERPOD_LINUX"})
"""Access entry types that only let nodes join."""


def eks_region(scope: AwsScope) -> Iterator[Record]:
    """Yield all EKS records of the region."""
    clusters = yield from scope.listing(
        _clusters(scope),
        "eks:ListClusters",
        "accounts/eks-cluster",
        loses=(
            "identities/eks-service-account",
            "links/runs_as",
            "links/uses",
            "grants/eks-access-entry",
            "trusts/pod-identity",
        ),
        needs="eks:ListClusters, eks:DescribeCluster",
    )
    if clusters is None:
        return
    yield from scope.listing(
        _pod_identities(scope, clusters),
        "eks:ListPodIdentityAssociations",
        "identities/eks-service-account",
        "links/runs_as",
        "links/uses",
        loses=("trusts/pod-identity",),
        needs="eks:ListPodIdentityAssociations, eks:DescribePodIdentityAssociation",
    )
    yield from scope.listing(
        _access_entries(scope, clusters),
        "eks:ListAccessEntries",
        "grants/eks-access-entry",
        needs="eks:ListAccessEntries, eks:DescribeAccessEntry, eks:ListAssociatedAccessPolicies",
    )


def _clusters(scope: AwsScope) -> Generator[Record, None, list[dict[str, Any]]]:
    """Yield clusters as accounts. Returns them."""
    client = scope.client("eks")
    found: list[dict[str, Any]] = []
    reads = PartialReads()
    for name in items(client, "list_clusters", "clusters"):
        cluster = reads.read(name, lambda: client.describe_cluster(name=name)["cluster"])  # noqa: B023
        if cluster is None:
            continue
        found.append(cluster)
        issuer = ((cluster.get("identity") or {}).get("oidc") or {}).get("issuer")
        tags = tags_of(cluster.get("tags"))
        owner, owner_source = scope.owner(tags)
        cluster_id = record_id(PROVIDER, "eks-cluster", cluster["arn"])
        yield Account(
            id=cluster_id,
            provider=PROVIDER,
            account_id=scope.ref,
            kind="eks-cluster",
            native_id=cluster["arn"],
            name=name,
            address=cluster["arn"],
            parent_id=scope.ref,
            environment=scope.environment(tags),
            owner=owner,
            owner_source=owner_source,
            active=cluster.get("status") == "ACTIVE" if cluster.get("status") else None,
            created_at=utc(cluster.get("createdAt")),
            issuer=issuer,
            tags=tags,
        )
    reads.end()
    return found


def _pod_identities(scope: AwsScope, clusters: list[dict[str, Any]]) -> Iterator[Record]:
    """Yield service accounts with a Pod Identity role. The list call does not include the role."""
    client = scope.client("eks")
    reads = PartialReads()
    for cluster in clusters:
        name = cluster["name"]
        issuer = ((cluster.get("identity") or {}).get("oidc") or {}).get("issuer")
        for entry in items(client, "list_pod_identity_associations", "associations", clusterName=name):
            native = entry["associationId"]
            read = reads.read(
                f"{name}/{native}",
                lambda: client.describe_pod_identity_association(clusterName=name, associationId=native)[  # noqa: B023
                    "association"
                ],
            )
            association = read or entry
            namespace, account = association["namespace"], association["serviceAccount"]
            role = association.get("roleArn")
            yield from workload(
                scope,
                "eks-service-account",
                f"{cluster['arn']}/{namespace}/{account}",
                name=f"{namespace}/{account}",
                role_arn=role,
                tags=tags_of(association.get("tags")),
                evidence=association.get("associationArn") or native,
                created_at=utc(association.get("createdAt")),
                issuer=issuer,
                subjects=[f"system:serviceaccount:{namespace}:{account}"],
            )
            target = association.get("targetRoleArn")
            if role and target:
                why = f"Pod Identity association {native} chains to a role of another account"
                yield scope.link(scope.id_of(role), "uses", scope.id_of(target), evidence=native, why=why)
    reads.end()


def _access_entries(scope: AwsScope, clusters: list[dict[str, Any]]) -> Iterator[Record]:
    """Yield grants of IAM principals in a cluster by access entries."""
    client = scope.client("eks")
    reads = PartialReads()
    for cluster in clusters:
        name, arn = cluster["name"], cluster["arn"]
        for principal in items(client, "list_access_entries", "accessEntries", clusterName=name):
            entry = reads.read(
                principal,
                lambda: client.describe_access_entry(clusterName=name, principalArn=principal)["accessEntry"],  # noqa: B023
            )
            if entry is None or entry.get("type") in _NODES:
                continue
            groups = sorted(entry.get("kubernetesGroups") or [])
            for group in groups:
                powers: tuple[Power, ...] = ("admin",) if group == "system:masters" else ()
                yield _grant(scope, principal, arn, f"group {group}", powers=powers, where="*", entry=entry)
            policies = reads.read(
                principal,
                lambda: list(
                    items(
                        client,
                        "list_associated_access_policies",
                        "associatedAccessPolicies",
                        clusterName=name,  # noqa: B023
                        principalArn=principal,  # noqa: B023
                    )
                ),
            )
            for policy in policies or []:
                title = str(policy.get("policyArn", "")).rsplit("/", 1)[-1]
                reach = policy.get("accessScope") or {}
                where = ", ".join(reach.get("namespaces") or []) if reach.get("type") == "namespace" else "*"
                yield _grant(
                    scope,
                    principal,
                    arn,
                    title,
                    powers=ACCESS_POLICIES.get(title, ()),
                    where=where,
                    entry=entry,
                )
    reads.end()


def _grant(
    scope: AwsScope,
    principal: str,
    cluster: str,
    role: str,
    *,
    powers: tuple[Power, ...],
    where: str,
    entry: dict[str, Any],
) -> Grant:
    if not cluster:
        raise MalformedError("DescribeCluster: a cluster without ARN")
    return Grant(
        id=record_id(PROVIDER, "eks-access-entry", f"{cluster}>{principal}>{role}>{where}"),
        provider=PROVIDER,
        account_id=scope.ref,
        identity_id=scope.id_of(principal),
        role=role,
        resource=cluster if where == "*" else f"{cluster} namespaces {where}",
        breadth="resource",
        powers=list(powers),
        level=level_of(powers),
        conditional=False,
        confidence="high" if powers else "low",
        via="EKS access entry",
        why=f"The access entry of {principal} has {role} on {'the whole cluster' if where == '*' else where}.",
        fix=f"Scope the access entry to the namespaces it needs, with a less powerful policy than {role}.",
        granted_at=utc(entry.get("createdAt")),
    )
