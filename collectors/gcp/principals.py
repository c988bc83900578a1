"""The principals of IAM policies as identities, and which service accounts belong to principal sets.

https://docs.cloud.google.com/iam/docs/principal-identifiers
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.gcp.names import is_service_agent, last, own, project_id
from collectors.gcp.records import member_of
from scanner.records import Identity, Surface, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.gcp.evaluator import PolicyEvaluation
    from collectors.gcp.evaluator.members import MemberKind, PolicyMember
    from scanner.records import Record

_KINDS: dict[MemberKind, tuple[str, Surface | None]] = {
    "user": ("google-user", "human"),
    "group": ("google-group", None),
    "domain": ("google-domain", None),
    "public": ("google-public", None),
    "federated": ("gcp-federated-principal", "automation"),
    "workforce": ("gcp-workforce-principal", "human"),
    "account-set": ("gcp-service-account-set", "automation"),
    "agent": ("gcp-agent-identity", "workload"),
    "cluster-workload": ("gke-service-account", "workload"),
    "basic-role": ("gcp-basic-role-holders", None),
}
_PUBLIC = {"allUsers": "everyone on the internet", "allAuthenticatedUsers": "everyone with a Google account"}


def principals(evaluation: PolicyEvaluation, *, accounts_known: bool) -> Iterator[Record]:
    """Yield the identities of the principals that hold grants, and who belongs to each set."""
    for number, (member, account) in sorted(evaluation.members.items()):
        known = _KINDS.get(member.kind)
        if known is None:
            continue
        kind, surface = known
        yield Identity(
            id=number,
            **own(account),
            surface=surface,
            kind=kind,
            native_id=member.text,
            name=_name(member),
            address=member.email or member.text,
        )
        yield from _members(evaluation, number, member, account)
    if accounts_known:
        for email, account in sorted(evaluation.outside.items()):
            agent = is_service_agent(email)
            yield Identity(
                id=record_id("gcp", "unlisted-service-account", email),
                **own(account),
                surface="automation",
                kind="gcp-service-agent" if agent else "gcp-unlisted-service-account",
                native_id=email,
                name=email,
                address=email,
                managed_by="provider" if agent else None,
            )


def _members(
    evaluation: PolicyEvaluation, number: str, member: PolicyMember, account: str
) -> Iterator[Record]:
    estate = evaluation.estate
    if member.kind == "account-set":
        kind, _, name = member.container.partition("/")
        place = record_id("gcp", kind.removesuffix("s"), name)
        if kind == "projects":
            place = estate.project_of_number(name) or project_id(name)
        for identity in estate.accounts_below(place):
            yield member_of(account, identity.id, number, f"it is a service account of {member.container}")
    elif member.kind == "basic-role":
        place = f"roles/{member.value} {project_id(member.project)}"
        for holder in sorted(evaluation.holders.get(place, ())):
            yield member_of(
                account, holder, number, f"it has roles/{member.value} on the project {member.project}"
            )


def _name(member: PolicyMember) -> str:
    match member.kind:
        case "public":
            return _PUBLIC.get(member.text, member.text)
        case "federated" | "workforce":
            return f"{member.selector} {member.value} of the pool {member.pool}".replace(
                "*  of", "everyone in"
            )
        case "account-set":
            return f"all service accounts of {member.container}"
        case "cluster-workload":
            return f"{member.selector} {member.value} of the clusters of {member.project}"
        case "agent":
            return last(member.value)
        case "basic-role":
            return f"{member.value}s of {member.project}"
        case _:
            return member.email or member.text
