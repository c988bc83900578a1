"""Trusts of workload identity federation: the condition of a provider and the principal of a binding, judged together.

https://docs.cloud.google.com/iam/docs/workload-identity-federation. A token of any provider of a pool may be the bound principal,
so that each provider makes a trust of its own.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.gcp.evaluator.claim_tests import member_condition, provider_tests
from collectors.gcp.evaluator.exposure import verdict_of
from collectors.gcp.names import last, own, part
from scanner.records import Test, Trust, record_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collectors.gcp.evaluator.estate import GcpEstate
    from collectors.gcp.evaluator.members import PolicyMember
    from scanner.records import Policy

AWS_MAPPING = {
    "google.subject": "assertion.arn",
    "attribute.aws_role": "assertion.arn.contains('assumed-role') ? assertion.arn.extract('{account_arn}assumed-role/') "
    "+ 'assumed-role/' + assertion.arn.extract('assumed-role/{role_name}/') : assertion.arn",
}
"""The mapping of a provider for AWS that sets none.
https://docs.cloud.google.com/iam/docs/workload-identity-federation#mapping"""


class IdentityProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of a workload identity pool."""

    name: str
    project: str
    """The number or ID of the project in its name."""
    pool: str
    document: dict[str, Any]
    open: bool
    """False if it or its pool is disabled or deleted."""


def providers_of(policies: Iterable[Policy]) -> list[IdentityProvider]:
    """Return the providers in policies, each with the state of its pool."""
    pools: dict[str, dict[str, Any]] = {}
    found: list[tuple[str, dict[str, Any]]] = []
    for policy in policies:
        document = json.loads(policy.document or "{}")
        if policy.kind == "workload-identity-pool":
            pools[policy.native_id] = document
        elif policy.kind == "workload-identity-provider":
            found.append((policy.native_id, document))
    return [
        IdentityProvider(
            name=name,
            project=part(name, "projects") or "",
            pool=part(name, "workloadIdentityPools") or "",
            document=document,
            open=_open(document) and _open(pools.get(name.partition("/providers/")[0], {})),
        )
        for name, document in found
    ]


def _open(document: dict[str, Any]) -> bool:
    return not document.get("disabled") and str(document.get("state") or "ACTIVE") == "ACTIVE"


def federated_trusts(
    identity_id: str, account_id: str, member: PolicyMember, providers: Iterable[IdentityProvider]
) -> Iterator[Trust]:
    """Yield how a federated principal signs in as an identity, once for each provider of its pool and each alternative."""
    for provider in providers:
        document = provider.document
        if isinstance(document.get("aws"), dict):
            yield _aws(identity_id, account_id, member, provider)
        elif isinstance(document.get("oidc"), dict):
            yield from _oidc(identity_id, account_id, member, provider)
        else:
            kind = "saml" if isinstance(document.get("saml"), dict) else "certificate"
            yield _made(
                identity_id, account_id, member, provider, 0, kind=kind, issuer=provider.name, exposure="unknown",
                why=f"the provider {last(provider.name)} accepts {'SAML assertions' if kind == 'saml' else 'certificates'}",
            )  # fmt: skip


def _made(
    identity_id: str,
    account_id: str,
    member: PolicyMember,
    provider: IdentityProvider,
    number: int,
    **fields: Any,
) -> Trust:
    text = f"{identity_id} {member.text} {provider.name} {number}"
    if not provider.open:
        fields |= {"exposure": "nobody", "problem": None, "severity": None, "fix": None}
        fields["why"] = f"the provider {last(provider.name)} or its pool is disabled or deleted"
    return Trust(
        id=record_id("gcp", "trust", hashlib.sha256(text.encode()).hexdigest()[:24]),
        **own(account_id),
        identity_id=identity_id,
        **fields,
    )


def _oidc(
    identity_id: str, account_id: str, member: PolicyMember, provider: IdentityProvider
) -> Iterator[Trust]:
    document = provider.document
    issuer = str(document["oidc"].get("issuerUri") or "")
    mapping = {str(key): str(value) for key, value in (document.get("attributeMapping") or {}).items()}
    either = provider_tests(
        str(document.get("attributeCondition") or ""),
        mapping,
        member_condition(member.selector, member.value),
    )
    audience = [str(one) for one in document["oidc"].get("allowedAudiences") or []]
    for number, tests in enumerate(either):
        verdict = verdict_of(issuer, tests)
        yield _made(
            identity_id,
            account_id,
            member,
            provider,
            number,
            kind="oidc",
            issuer=issuer,
            tests=tests,
            audience=sorted(audience) or [f"https://iam.googleapis.com/{provider.name}", f"//iam.googleapis.com/{provider.name}"],
            exposure=verdict.exposure,
            problem=verdict.problem,
            severity=verdict.severity,
            why=f"the provider {last(provider.name)} of the pool {provider.pool} trusts {issuer} {verdict.means}",
            fix=verdict.fix,
        )  # fmt: skip


def _aws(identity_id: str, account_id: str, member: PolicyMember, provider: IdentityProvider) -> Trust:
    """Return the trust in an AWS account: all of its roles and users, or the role that the binding or condition names."""
    document = provider.document
    number = str(document["aws"].get("accountId") or "")
    mapping = {
        **AWS_MAPPING,
        **{str(key): str(value) for key, value in (document.get("attributeMapping") or {}).items()},
    }
    role = None
    if (
        member.selector == "attribute.aws_role"
        and mapping["attribute.aws_role"] == AWS_MAPPING["attribute.aws_role"]
    ):
        role = member.value.partition(":assumed-role/")[2]
    condition = str(document.get("attributeCondition") or "")
    narrowed = bool(condition) or member.selector != "*"
    fields: dict[str, Any] = {
        "issuer": f"arn:aws:iam::{number}:root",
        "trusted_account": record_id("aws", "account", number),
        "exposure": "unknown" if narrowed else "organization",
    }
    if narrowed:
        fields["tests"] = [Test(claim="assertion", operator="cel", values=[condition or "true"])]
    else:
        fields["problem"], fields["severity"] = "OIDC-4", "medium"
        fields["fix"] = "Bind the principal set of attribute.aws_role with the role that needs it."
    if role and not condition:
        fields = {"issuer": f"arn:aws:iam::{number}:role/{role}", "exposure": "exact"}
    where = f"the role {role}" if role else "under a condition" if narrowed else "every role and user of it"
    return _made(
        identity_id,
        account_id,
        member,
        provider,
        0,
        kind="account",
        why=f"the provider {last(provider.name)} trusts the AWS account {number}: {where}",
        **fields,
    )


def cluster_trusts(
    identity_id: str, account_id: str, member: PolicyMember, estate: GcpEstate, project: str
) -> Iterator[Trust]:
    """Yield how workloads of a project's clusters sign in as an identity, once for each cluster.

    https://docs.cloud.google.com/kubernetes-engine/docs/concepts/workload-identity: names are the same in every cluster of a
    project, so that a namespace of that name in any of them is admitted.
    """
    for cluster in estate.clusters(project):
        issuer = str(cluster.issuer)
        if member.selector == "cluster" and member.value.rstrip("/") != issuer:
            continue
        tests = _cluster_tests(member)
        verdict = verdict_of(issuer, tests)
        wide = member.selector in {"namespace", "cluster", "*"}
        text = f"{identity_id} {member.text} {issuer}"
        yield Trust(
            id=record_id("gcp", "trust", hashlib.sha256(text.encode()).hexdigest()[:24]),
            **own(account_id),
            identity_id=identity_id,
            kind="oidc",
            issuer=issuer,
            tests=tests,
            exposure="unknown" if member.selector == "other" else ("repository" if member.selector == "namespace" else "organization") if wide else "exact",
            problem={"namespace": "IRSA-2", "cluster": "IRSA-1", "*": "IRSA-1"}.get(member.selector),
            severity={"namespace": "medium", "cluster": "high", "*": "high"}.get(member.selector),  # type: ignore[arg-type]
            why=f"workloads of the cluster {cluster.name} are admitted {verdict.means}",
            fix="Bind the service accounts that need it, one principal for each." if wide else None,
        )  # fmt: skip


def _cluster_tests(member: PolicyMember) -> list[Test]:
    match member.selector:
        case "workload":
            namespace, _, name = member.value.partition("/")
            return [
                Test(claim="sub", operator="equals", values=[f"system:serviceaccount:{namespace}:{name}"])
            ]
        case "namespace":
            return [Test(claim="sub", operator="prefix", values=[f"system:serviceaccount:{member.value}:"])]
        case "cluster" | "*":
            return []
        case _:
            return [Test(claim="sub", operator="unknown", values=[])]
