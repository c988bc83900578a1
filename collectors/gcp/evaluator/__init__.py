"""What IAM policies, roles, deny policies and workload identity providers come to: pure, without an SDK or the network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from collectors.gcp.evaluator.becoming import Becoming
from collectors.gcp.evaluator.boundaries import Boundaries
from collectors.gcp.evaluator.denies import DenyRule, deny_rules
from collectors.gcp.evaluator.estate import GcpEstate
from collectors.gcp.evaluator.grants import ACCOUNTS, BINDING, BindingEvaluator, HeldRole
from collectors.gcp.evaluator.trusts import cluster_trusts, federated_trusts, providers_of
from collectors.gcp.names import normal_member, project_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from collectors.gcp.evaluator.members import PolicyMember
    from scanner.records import Policy, Record, Trust

__all__ = ["BINDING", "GcpEstate", "PolicyEvaluation", "evaluate"]

_IMPERSONATES = frozenset(
    ("iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.signBlob", "iam.serviceAccounts.signJwt", "iam.serviceAccounts.getOpenIdToken")
)  # fmt: skip
_IMPERSONATING_ROLES = frozenset(("roles/iam.workloadIdentityUser", "roles/iam.serviceAccountTokenCreator"))


class PolicyEvaluation:
    """All policies of a night, sorted by kind."""

    def __init__(self, policies: Iterable[Policy], estate: GcpEstate, as_of: datetime) -> None:
        self.estate = estate
        roles: list[Policy] = []
        denies: list[DenyRule] = []
        limits: list[Policy] = []
        federation: list[Policy] = []
        unused: dict[tuple[str, str, str], list[str]] = {}
        self._allows: list[Policy] = []
        for policy in policies:
            match policy.kind:
                case "gcp-predefined-role" | "gcp-custom-role":
                    roles.append(policy)
                case "gcp-deny-policy":
                    denies += deny_rules(json.loads(policy.document or "{}"), policy.account_id)
                case "principal-access-boundary" | "policy-binding":
                    limits.append(policy)
                case "workload-identity-pool" | "workload-identity-provider":
                    federation.append(policy)
                case "iam-recommendation":
                    advice = json.loads(policy.document or "{}")
                    key = (
                        policy.account_id,
                        str(advice.get("removedRole")),
                        normal_member(str(advice.get("member"))),
                    )
                    unused[key] = [str(one) for one in advice.get("addedRoles") or []]
                case "iam-policy":
                    self._allows.append(policy)
                case _:
                    pass
        self._providers = providers_of(federation)
        self._bindings = BindingEvaluator(
            estate, roles, denies, Boundaries(limits, estate), as_of=as_of, unused=unused
        )
        self._as_of = as_of
        self.members: dict[str, tuple[PolicyMember, str]] = {}
        """The principals of the grants, each with an account, by the id of their identities, after `records`."""
        self.outside: dict[str, str] = {}
        """The service accounts that were not listed, each with an account, by email address, after `records`."""
        self.holders: dict[str, set[str]] = {}
        """Who holds a basic role of a project: ``roles/editor gcp:project:x`` -> ids, after `records`."""

    def records(self) -> Iterator[Record]:
        """Yield the grants and trusts, then whom principals can become."""
        by_principal: dict[str, list[HeldRole]] = {}
        signed: set[str] = set()
        for policy in sorted(self._allows, key=lambda policy: policy.id):
            for held in self._bindings.held(policy):
                if held.member.kind in {"federated", "cluster-workload"}:
                    trusts = list(self._trusts(held))
                    yield from trusts
                    if self._signs_in(held):
                        continue
                    if held.grant.identity_id not in signed:
                        signed.add(held.grant.identity_id)
                        yield from self._own_trusts(held)
                self._note(held)
                yield held.grant
                if held.grant.expires_at is None or held.grant.expires_at > self._as_of:
                    by_principal.setdefault(held.grant.identity_id, []).append(held)
        becoming = Becoming(self.estate)
        for _, roles in sorted(by_principal.items()):
            yield from becoming.links(roles)

    def _note(self, held: HeldRole) -> None:
        grant = held.grant
        if held.member.kind != "service-account":
            self.members.setdefault(grant.identity_id, (held.member, grant.account_id))
        elif grant.identity_id == held.member.email:
            self.outside.setdefault(held.member.email, grant.account_id)
        if grant.role in {"roles/owner", "roles/editor", "roles/viewer"} and grant.breadth == "account":
            self.holders.setdefault(f"{grant.role} {grant.account_id}", set()).add(grant.identity_id)

    def _signs_in(self, held: HeldRole) -> bool:
        """Whether a binding lets a federated principal sign in as the service account whose policy it is in."""
        if not held.grant.resource.startswith(ACCOUNTS):
            return False
        # A role that could not be read is known by its name.
        return bool(held.permissions & _IMPERSONATES) or (
            not held.permissions and held.grant.role in _IMPERSONATING_ROLES
        )

    def _trusts(self, held: HeldRole) -> Iterator[Trust]:
        if self._signs_in(held):
            yield from self._of(held.place, held)

    def _own_trusts(self, held: HeldRole) -> Iterator[Trust]:
        """Yield how tokens are the principal itself, to which roles are granted directly."""
        yield from self._of(held.grant.identity_id, held)

    def _of(self, identity: str, held: HeldRole) -> Iterator[Trust]:
        member, account = held.member, held.grant.account_id
        project = self.estate.project_of_number(member.project) or project_id(member.project)
        if member.kind == "cluster-workload":
            yield from cluster_trusts(identity, account, member, self.estate, project)
            return
        mine = [
            provider
            for provider in self._providers
            if provider.pool == member.pool
            and (self.estate.project_of_number(provider.project) or project_id(provider.project)) == project
        ]
        yield from federated_trusts(identity, account, member, mine)


def evaluate(policies: Iterable[Policy], records: Iterable[Record], as_of: datetime) -> Iterator[Record]:
    """Yield the grants of role bindings as roles, conditions and deny policies make them, whom their holders can become, and
    the trusts of workload identity federation. For a snapshot's own records this is what the night yielded.
    """
    estate = GcpEstate()
    for record in records:
        estate.add(record)
    yield from PolicyEvaluation(policies, estate, as_of).records()
