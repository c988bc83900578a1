"""Workload identity pools and their providers, as the policies that they are. The evaluation makes trusts of them.

https://docs.cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gcp.calls import POOLS, PROVIDERS
from collectors.gcp.names import last
from collectors.gcp.records import stored_policy
from scanner.collect.paging import TokenInBody

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collectors.gcp.scope import GcpScope
    from scanner.records import Policy, Record

POOL = "iam.googleapis.com/WorkloadIdentityPool"
PROVIDER = "iam.googleapis.com/WorkloadIdentityPoolProvider"
_TRUSTS = ("trusts/account", "trusts/certificate", "trusts/oidc", "trusts/saml")
_OF_POOL = ("state", "disabled", "displayName", "mode", "expireTime")
_OF_PROVIDER = ("state", "disabled", "displayName", "attributeMapping", "attributeCondition", "oidc", "aws")


def federation(scope: GcpScope) -> Iterator[Record]:
    """Yield the pools, then the providers. Where the inventory is denied, each project is asked."""
    yield from scope.assets(
        POOL, lambda asset, data, account: [_pool(scope, asset, data, account)],
        table="policies", kind="workload-identity-pool", loses=_TRUSTS,
        instead=lambda account: _pools_of(scope, account),
    )  # fmt: skip
    yield from scope.assets(
        PROVIDER, lambda asset, data, account: [_provider(scope, asset, data, account)],
        table="policies", kind="workload-identity-provider", loses=_TRUSTS,
        instead=lambda account: _providers_of(scope, account),
    )  # fmt: skip


def _pool(scope: GcpScope, asset: dict[str, Any], data: dict[str, Any], account: str) -> Policy:
    name = _name(scope, str(asset["name"]))
    document = {key: data[key] for key in _OF_POOL if data.get(key) is not None}
    return stored_policy(
        "workload-identity-pool", account, name, document=document, to=[account], name=last(name)
    )


def _provider(scope: GcpScope, asset: dict[str, Any], data: dict[str, Any], account: str) -> Policy:
    name = _name(scope, str(asset["name"]))
    document = {key: data[key] for key in _OF_PROVIDER if data.get(key) is not None}
    for kind in ("saml", "x509"):
        if data.get(kind) is not None:
            document[kind] = {}
    oidc = data.get("oidc")
    if isinstance(oidc, dict):
        # The keys themselves are long, and public: that they are pinned is what matters.
        pinned = {"jwksJson": "pinned"} if oidc.get("jwksJson") else {}
        kept = {key: oidc[key] for key in ("issuerUri", "allowedAudiences") if oidc.get(key) is not None}
        document["oidc"] = {**kept, **pinned}
    if isinstance(data.get("aws"), dict):
        document["aws"] = {"accountId": str(data["aws"]["accountId"])}
    return stored_policy(
        "workload-identity-provider", account, name, document=document, to=[account], name=last(name)
    )


def _name(scope: GcpScope, asset: str) -> str:
    """Return the name of a pool or provider with the number of its project, as principals write it."""
    name = asset.removeprefix("//iam.googleapis.com/")
    head, project, *rest = name.split("/")
    return "/".join((head, scope.held.projects.get(project, project), *rest))


def _pools_of(scope: GcpScope, account: str) -> Iterable[Record] | None:
    project = account.removeprefix("gcp:project:")
    if project not in scope.held.projects:
        return None
    return (_pool(scope, row, row, account) for row in _listed(scope, project))


def _listed(scope: GcpScope, project: str) -> Iterator[dict[str, Any]]:
    yield from scope.client.items(
        scope.path(POOLS, project=project), {"pageSize": 1000}, at="workloadIdentityPools"
    )


def _providers_of(scope: GcpScope, account: str) -> Iterable[Record] | None:
    project = account.removeprefix("gcp:project:")
    if project not in scope.held.projects:
        return None

    def read() -> Iterator[Record]:
        for pool in _listed(scope, project):
            path = scope.path(PROVIDERS, project=project, pool=last(str(pool["name"])))
            rows = scope.client.items(
                path,
                {"pageSize": 100},
                paginator=TokenInBody(omits_empty=True),
                at="workloadIdentityPoolProviders",
            )
            for row in rows:
                yield _provider(scope, row, row, account)

    return read()
