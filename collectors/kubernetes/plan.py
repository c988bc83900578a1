"""One cluster's night: in which order its lists are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from collectors.kubernetes.calls import DISCOVERY, RBAC, VERSION
from collectors.kubernetes.estate import ClusterWorkloads
from collectors.kubernetes.evaluator import evaluated
from collectors.kubernetes.evaluator.grants import ClusterRoles
from collectors.kubernetes.evaluator.residents import Residents
from collectors.kubernetes.installed import Installed
from collectors.kubernetes.known import SecretOrigins
from collectors.kubernetes.listings.admission import admission
from collectors.kubernetes.listings.aws_auth import aws_auth, may_be_eks
from collectors.kubernetes.listings.controllers import controllers, releases, running
from collectors.kubernetes.listings.delivery import delivery
from collectors.kubernetes.listings.namespaces import namespaces
from collectors.kubernetes.listings.network_policies import network_policies
from collectors.kubernetes.listings.nodes import nodes
from collectors.kubernetes.listings.pods import pods
from collectors.kubernetes.listings.rbac import known_elsewhere, roles_and_bindings, users_and_groups
from collectors.kubernetes.listings.secret_origins import secret_origins
from collectors.kubernetes.listings.secrets import secrets
from collectors.kubernetes.listings.service_accounts import service_accounts
from collectors.kubernetes.scope import KubeScope
from scanner.collect.failures import SourceError
from scanner.collect.listings import preflight, with_coverage
from scanner.records import Account, Coverage

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.kubernetes.client import KubeClient
    from collectors.kubernetes.config import Config
    from scanner.collect.collector import Run, Target
    from scanner.records import Record

T = TypeVar("T")


def cluster_night(client: KubeClient, target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield what one cluster holds."""
    scope = KubeScope(
        client=client,
        run=run,
        target=target,
        account_id=target.account_id,
        config=config,
        installed=Installed(client),
        cluster=target.name,
    )

    def itself() -> Generator[Record, None, str]:
        version = str(client.one(VERSION).get("gitVersion") or "")
        yield from ()
        return version

    version = yield from preflight(
        itself(), scope.request("*", f"GET {VERSION}", needs="a credential of the cluster")
    )
    if version is None:
        return
    issuer = yield from _issuer(scope)
    scope = msgspec.structs.replace(scope, issuer=issuer)
    yield from _cluster(scope, version)
    yield from _content(scope, version)


def _issuer(scope: KubeScope) -> Generator[Record, None, str | None]:
    """Return the issuer of the cluster's tokens; a Gap says that it is not known."""

    def read() -> Generator[Record, None, str]:
        found = scope.client.one(DISCOVERY)["issuer"]
        yield from ()
        if not isinstance(found, str) or not found:
            raise SourceError("malformed", f"{DISCOVERY}: the issuer is not text")
        return found

    request = scope.request(
        "identities",
        f"GET {DISCOVERY}",
        kind="token-issuer",
        needs="system:service-account-issuer-discovery",
    )
    return (yield from with_coverage(read(), request))


def _cluster(scope: KubeScope, version: str) -> Iterator[Record]:
    account = Account(
        id=scope.account_id,
        provider="kubernetes",
        account_id=scope.account_id,
        kind="kubernetes-cluster",
        native_id=scope.account_id.removeprefix("kubernetes:cluster:"),
        name=scope.cluster,
        address=scope.cluster,
        issuer=scope.issuer,
        tags={"version": version} if version else {},
    )
    yield from with_coverage(
        [account], scope.request("accounts", f"GET {VERSION}", kind="kubernetes-cluster")
    )


def _content(scope: KubeScope, version: str) -> Iterator[Record]:
    residents = Residents(scope.account_id)
    origins = SecretOrigins()
    held = yield from namespaces(scope)
    bound = yield from roles_and_bindings(scope)
    yield from _noted(residents, users_and_groups(scope, bound))
    yield from known_elsewhere(scope, bound)
    if may_be_eks(scope.issuer, version):
        yield from aws_auth(scope, bound)
    roles = ClusterRoles(scope.account_id)
    for policy in bound.policies:
        roles.add(policy)
    known = yield from _kept(residents, service_accounts(scope, held, bound, roles.powerful()))
    yield from secret_origins(scope, origins)
    estate = ClusterWorkloads(held, known, origins.classes)
    whole = yield from _kept(residents, controllers(scope, estate))
    if whole:
        yield from _noted(residents, releases(scope, estate))
    whole &= yield from _kept(residents, pods(scope, estate))
    if whole:
        yield from running(scope, estate)
    yield from nodes(scope, estate)
    yield from _noted(residents, delivery(scope, held, known, estate))
    yield from _noted(residents, secrets(scope, held, known, estate, origins.secrets))
    yield from admission(scope, held.labels)
    yield from network_policies(scope, held.labels)
    yield from _grants(scope, roles, residents, whole=bound.complete)


def _noted(residents: Residents, rows: Iterator[Record]) -> Iterator[Record]:
    for row in rows:
        residents.add(row)
        yield row


def _kept(residents: Residents, rows: Generator[Record, None, T]) -> Generator[Record, None, T]:
    while True:
        try:
            row = next(rows)
        except StopIteration as end:
            found: T = end.value
            return found
        residents.add(row)
        yield row


def _grants(scope: KubeScope, roles: ClusterRoles, residents: Residents, *, whole: bool) -> Iterator[Record]:
    """Yield what the bindings come to. Where a list of them was not read, its Gap is one of grants, too."""
    resource = RBAC["clusterrolebindings"]
    request = scope.request("grants", f"GET {resource.path()}", needs=f"list {resource.title}")
    for row in with_coverage(evaluated(roles, residents), request, fills=("links/can_become",)):
        if whole or not isinstance(row, Coverage):
            yield row
