"""Service accounts: their tokens, and the identities of clouds that they name.

https://kubernetes.io/docs/concepts/security/service-accounts/,
https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html,
https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html,
https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.kubernetes.calls import CORE
from collectors.kubernetes.evaluator.bindings import BoundSubject, account_id
from collectors.kubernetes.evaluator.ways import is_platform_namespace
from collectors.kubernetes.facts import Metadata, ServiceAccount
from collectors.kubernetes.known import BoundSubjects, KnownAccounts, group_id
from collectors.kubernetes.records import link
from scanner.records import Identity

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.kubernetes.known import Namespaces
    from collectors.kubernetes.scope import KubeScope
    from scanner.records import Record

AWS_ROLE = "eks.amazonaws.com/role-arn"
AZURE_CLIENT = "azure.workload.identity/client-id"
GOOGLE_ACCOUNT = "iam.gke.io/gcp-service-account"
_ARN = re.compile(r"arn:aws[a-z-]{0,10}:iam::\d{12}:role/[\w+=,.@/-]{1,600}", re.ASCII)
_CLIENT = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_EMAIL = re.compile(r"[a-z0-9-]{1,100}@[a-z0-9.:-]{1,200}\.gserviceaccount\.com", re.ASCII)
EVERYBODY = ("system:authenticated", "system:serviceaccounts")


def service_accounts(
    scope: KubeScope, held: Namespaces, bound: BoundSubjects, powerful: frozenset[BoundSubject]
) -> Generator[Record, None, KnownAccounts]:
    """Yield service accounts, and return them. ``powerful`` are subjects that are told even in the platform's namespaces."""
    known = KnownAccounts(ids={}, automount={}, pull_secrets={}, cloud={})
    groups = {subject.name for subject in bound.foreign if subject.kind == "Group"}

    def convert(item: ServiceAccount) -> Iterator[Record]:
        metadata = item.metadata
        me = account_id(scope.account_id, metadata.namespace, metadata.name)
        known.ids[metadata.namespace, metadata.name] = me
        if item.automount_service_account_token is not None:
            known.automount[me] = item.automount_service_account_token
        known.pull_secrets[me] = [one.name for one in item.image_pull_secrets or () if one.name]
        cloud = cloud_of(metadata)
        if cloud:
            known.cloud[me] = cloud
        subject = BoundSubject("ServiceAccount", metadata.name, metadata.namespace)
        # The API server makes an account `default` in every namespace.
        unused = metadata.name == "default" and subject not in bound.every
        platform = is_platform_namespace(metadata.namespace) and subject not in powerful
        provided = not cloud and (unused or platform)
        yield _identity(scope, held, item, me=me, cloud=cloud, provided=provided)
        for name in (*EVERYBODY, f"system:serviceaccounts:{metadata.namespace}"):
            if name in groups:
                why = "every service account is in it" if not name.count(":") > 1 else "of its namespace"
                yield link(scope, me, "member_of", group_id(scope, name), evidence=name, why=why)

    yield from scope.listed(
        CORE["serviceaccounts"], convert, table="identities", kind="service-account",
        fills=("links/member_of",), loses=("credentials/service-account-token",), shape=ServiceAccount,
    )  # fmt: skip
    return known


def cloud_of(metadata: Metadata) -> dict[str, str]:
    """Return the identities of clouds that an account's annotations name, by tag."""
    annotations = metadata.annotations or {}
    found = {}
    for tag, key, form in (
        ("aws_role", AWS_ROLE, _ARN),
        ("azure_client", AZURE_CLIENT, _CLIENT),
        ("google_account", GOOGLE_ACCOUNT, _EMAIL),
    ):
        value = annotations.get(key, "").strip()
        if value and form.fullmatch(value):
            found[tag] = value.lower() if tag == "azure_client" else value
    return found


def _identity(
    scope: KubeScope,
    held: Namespaces,
    item: ServiceAccount,
    *,
    me: str,
    cloud: dict[str, str],
    provided: bool,
) -> Identity:
    metadata = item.metadata
    namespace, name = metadata.namespace, metadata.name
    owner, source = held.owner(namespace, metadata.labels, metadata.annotations)
    mount = item.automount_service_account_token
    return Identity(
        id=me,
        **scope.own(),
        surface="automation",
        kind="service-account",
        native_id=metadata.uid,
        name=f"{namespace}/{name}",
        address=scope.address(namespace, "serviceaccount", name),
        created_at=metadata.creation_timestamp,
        owner=owner,
        owner_source=source,
        environment=held.environment(namespace, metadata.labels),
        issuer=scope.issuer,
        subjects=[f"system:serviceaccount:{namespace}:{name}"],
        managed_by="provider" if provided else None,
        tags={
            **cloud,
            **({"platform": "yes"} if is_platform_namespace(namespace) else {}),
            **({} if mount is None else {"automount": "yes" if mount else "no"}),
        },
    )
