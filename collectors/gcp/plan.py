"""The night of one organization or project: in which order its listings are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gcp.calls import ORGANIZATION, PROJECT
from collectors.gcp.evaluator import GcpEstate
from collectors.gcp.facts import Hierarchy, LastSignIns, RoleDefinitions
from collectors.gcp.iam_library import IamLibrary
from collectors.gcp.listings import accounts, limits, roles
from collectors.gcp.listings.activity import account_sign_ins, key_sign_ins
from collectors.gcp.listings.delivery import delivery, workflows
from collectors.gcp.listings.federation import federation
from collectors.gcp.listings.hierarchy import hierarchy, own_project
from collectors.gcp.listings.policies import iam_policies
from collectors.gcp.listings.recommendations import recommendations
from collectors.gcp.listings.stores import api_keys, hmac_keys, secrets
from collectors.gcp.listings.workloads import workloads
from collectors.gcp.names import own
from collectors.gcp.scope import GcpScope
from scanner.collect.listings import preflight, with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Account, Coverage, Policy

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.gcp.client import GoogleClient
    from collectors.gcp.config import Config
    from scanner.collect.collector import Run, Target
    from scanner.records import Record

_EVALUATED = frozenset(
    (
        "gcp-deny-policy",
        "iam-recommendation",
        "policy-binding",
        "principal-access-boundary",
        "workload-identity-pool",
        "workload-identity-provider",
    )
)


def target_night(client: GoogleClient, target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield what one organization or project holds."""
    kind, _, number = target.name.partition("/")
    scope = GcpScope(
        client=client,
        run=run,
        target=target,
        account_id=target.account_id,
        config=config,
        kind=kind,
        number=number,
        held=Hierarchy(),
        account_use=LastSignIns(),
        key_use=LastSignIns(),
        emails={},
        names={"organization" if kind == "organizations" else "project": number},
    )
    call = ORGANIZATION if kind == "organizations" else PROJECT
    needs = f"resourcemanager.{kind}.get"

    def itself() -> Generator[Record, None, Account]:
        yield from ()
        found = client.one(scope.path(call))
        return own_project(scope, found) if kind == "projects" else _organization(scope, found)

    account = yield from preflight(itself(), scope.request("*", f"GET {call}", needs=needs))
    if account is None:
        return
    library = IamLibrary(config, run, client.sign_in)
    try:
        yield from _Night(scope, library).records(account, call)
    finally:
        library.close()


def _organization(scope: GcpScope, found: dict[str, Any]) -> Account:
    return Account(
        id=scope.account_id,
        **own(scope.account_id),
        kind="gcp-organization",
        native_id=scope.number,
        name=str(found.get("displayName") or scope.number),
        address=f"organizations/{scope.number}",
        created_at=utc_time(found.get("createTime")),
    )


class _Night:
    """Takes note of what the evaluation needs, while records pass."""

    def __init__(self, scope: GcpScope, library: IamLibrary) -> None:
        self._scope = scope
        self._library = library
        self._estate = GcpEstate()
        self._limits: list[Policy] = []
        self._accounts_known = False

    def records(self, account: Account, call: str) -> Iterator[Record]:
        """Yield everything, the IAM policies last: what they come to rests on the rest."""
        scope, library = self._scope, self._library
        yield from self._noted(self._places(account, call))
        yield from self._noted(self._accounts())
        yield from self._noted(federation(scope))
        predefined = yield from roles.predefined_roles(scope, library)
        custom = yield from roles.custom_roles(scope, library)
        yield from self._noted(limits.deny_policies(scope))
        yield from self._noted(limits.boundaries(scope))
        yield from self._noted(limits.organization_policies(scope))
        yield from self._noted(workloads(scope))
        yield from self._noted(delivery(scope))
        yield from self._noted(workflows(scope))
        yield from secrets(scope)
        yield from api_keys(scope)
        yield from hmac_keys(scope)
        yield from self._noted(recommendations(scope))
        yield from iam_policies(
            scope,
            library,
            self._estate,
            RoleDefinitions(predefined=predefined or {}, custom=custom),
            self._limits,
            accounts_known=self._accounts_known,
        )

    def _places(self, account: Account, call: str) -> Iterator[Record]:
        scope = self._scope
        request = scope.request("accounts", f"GET {call}", kind=account.kind)
        yield from with_coverage([account], request)
        if scope.kind == "organizations":
            yield from hierarchy(scope)

    def _accounts(self) -> Iterator[Record]:
        scope = self._scope
        if scope.config.last_use:
            yield from account_sign_ins(scope, scope.held.projects)
        yield from accounts.service_accounts(scope, self._library)
        rows = accounts.key_rows(scope)
        if scope.config.last_use:
            yield from key_sign_ins(scope, accounts.projects_of(rows, scope))
        yield from accounts.keys(scope, self._library, rows)

    def _noted(self, records: Iterator[Record]) -> Iterator[Record]:
        for record in records:
            self._estate.add(record)
            match record:
                case Policy(kind=kind) if kind in _EVALUATED:
                    self._limits.append(record)
                case Coverage(table="identities", kind="gcp-service-account"):
                    self._accounts_known |= record.account_id == self._scope.account_id
                case _:
                    pass
            yield record
