"""IAM policies of every level, and what they come to: grants, trusts, whom principals can become, and who they are.

https://docs.cloud.google.com/asset-inventory/docs/searching-iam-policies: inheritance is not applied by the search, but by the
evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gcp.calls import POLICIES, PROJECT_POLICY
from collectors.gcp.evaluator import PolicyEvaluation
from collectors.gcp.names import CONTAINERS, project_id, service_account_id
from collectors.gcp.principals import principals
from collectors.gcp.records import role_policy, stored_policy
from collectors.gcp.scope import NEEDS
from scanner.collect.by_account import by_account
from scanner.collect.failures import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collectors.gcp.evaluator import GcpEstate
    from collectors.gcp.facts import RoleDefinitions
    from collectors.gcp.iam_library import IamLibrary
    from collectors.gcp.scope import GcpScope
    from scanner.records import Policy, Record

FILLS = (
    "grants/iam-binding",
    "identities/gcp-basic-role-holders",
    "identities/gcp-federated-principal",
    "identities/gcp-service-account-set",
    "identities/gcp-service-agent",
    "identities/gcp-unlisted-service-account",
    "identities/gcp-workforce-principal",
    "identities/gcp-agent-identity",
    "identities/gke-service-account",
    "identities/google-domain",
    "identities/google-group",
    "identities/google-public",
    "identities/google-user",
    "links/can_become",
    "links/member_of",
    "policies/gcp-predefined-role",
    "trusts/account",
    "trusts/certificate",
    "trusts/oidc",
    "trusts/saml",
)


def iam_policies(
    scope: GcpScope,
    library: IamLibrary,
    estate: GcpEstate,
    roles: RoleDefinitions,
    limits: list[Policy],
    *,
    accounts_known: bool,
) -> Iterator[Record]:
    """Yield every IAM policy, then what they come to. ``limits`` are the other policies that decide it.

    ``accounts_known`` says whether all service accounts were listed, so that any other one is from elsewhere. Where the
    inventory is denied, the policies of each project and of its service accounts are read one by one.
    """

    def evaluated(policies: Iterable[Policy]) -> Iterator[Record]:
        kept: list[Policy] = []
        failure: SourceError | None = None
        try:
            for policy in policies:
                kept.append(policy)
                yield policy
        except SourceError as exc:
            failure = exc
        granted = _granted(kept)
        used = [
            role_policy(roles.predefined[name], scope.account_id, "gcp-predefined-role")
            for name in sorted(granted & roles.predefined.keys())
        ]
        yield from used
        evaluation = PolicyEvaluation([*limits, *roles.custom, *used, *kept], estate, scope.run.as_of)
        yield from evaluation.records()
        yield from principals(evaluation, accounts_known=accounts_known)
        if failure is not None:
            raise failure

    call = scope.documented(POLICIES)
    yield from by_account(
        scope,
        scope.held.accounts,
        evaluated(_searched(scope)),
        call=f"GET {call}",
        table="policies",
        kind="iam-policy",
        needs=NEEDS,
        fills=FILLS,
        instead=lambda account: _of_project(scope, library, account, evaluated),
        partly=f"POST {PROJECT_POLICY}",
    )


def _searched(scope: GcpScope) -> Iterator[Policy]:
    rows = scope.client.items(
        scope.client.at(POLICIES.replace("{kind}", scope.kind).replace("{number}", scope.number)),
        {"pageSize": 500, "orderBy": "assetType,resource"},
        at="results",
    )
    bindings: dict[str, list[dict[str, Any]]] = {}
    found: dict[str, tuple[str, str]] = {}
    for row in rows:
        resource = _by_id(scope, str(row["resource"]))
        # A search may return a resource more than once, each time with some of its bindings.
        bindings.setdefault(resource, []).extend((row.get("policy") or {}).get("bindings") or [])
        found[resource] = str(row.get("assetType") or ""), _account(scope, row, resource)
    for resource, (asset_type, account) in found.items():
        yield _policy(scope, resource, asset_type, account, bindings[resource])


def _by_id(scope: GcpScope, resource: str) -> str:
    """Return the name of a project with its ID: lists name it by its number, some searches by its ID."""
    number = resource.removeprefix(f"{CONTAINERS}projects/")
    return f"{CONTAINERS}projects/{scope.held.names[number]}" if number in scope.held.names else resource


def _account(scope: GcpScope, row: dict[str, Any], resource: str) -> str:
    below = resource.removeprefix(CONTAINERS)
    if below != resource:
        kind, _, name = below.partition("/")
        if kind == "projects":
            return project_id(scope.held.names.get(name, name))
        return scope.held.account_of(below) or scope.account_id
    return scope.held.account_of(str(row.get("project") or "")) or scope.account_id


def _policy(
    scope: GcpScope, resource: str, asset_type: str, account: str, bindings: list[dict[str, Any]]
) -> Policy:
    document = {
        "assetType": asset_type,
        "bindings": [
            {
                "role": str(one.get("role") or ""),
                "members": sorted(str(member) for member in one.get("members") or []),
                **({"condition": one["condition"]} if one.get("condition") else {}),
            }
            for one in bindings
        ],
    }
    number = resource.rpartition("/serviceAccounts/")[2] if "/serviceAccounts/" in resource else ""
    number = scope.emails.get(number, number)
    to = service_account_id(number) if number else account
    return stored_policy(
        "iam-policy",
        account,
        resource,
        document=document,
        to=[to],
        name=resource.rpartition("/")[2],
        address=resource,
    )


def _granted(policies: Iterable[Policy]) -> set[str]:
    """Return the roles that policies grant, or let somebody grant."""
    text = "\n".join(policy.document or "" for policy in policies)
    return {part.partition('"')[0].partition("'")[0] for part in _pieces(text)}


def _pieces(text: str) -> Iterator[str]:
    for quote in ('"', "'"):
        for piece in text.split(f"{quote}roles/")[1:]:
            yield f"roles/{piece[:200]}"


def _of_project(
    scope: GcpScope, library: IamLibrary, account: str, evaluated: Any
) -> Iterable[Record] | None:
    project = account.removeprefix("gcp:project:")
    if project not in scope.held.projects:
        return None

    def read() -> Iterator[Policy]:
        resource = f"{CONTAINERS}projects/{project}"
        asked = scope.client.post(
            scope.path(PROJECT_POLICY, project=project), {"options": {"requestedPolicyVersion": 3}}
        )
        body: dict[str, Any] = asked.body if isinstance(asked.body, dict) else {}
        yield _policy(
            scope,
            resource,
            "cloudresourcemanager.googleapis.com/Project",
            account,
            body.get("bindings") or [],
        )
        for row in library.accounts(project):
            policy = library.policy(str(row["name"]))
            if policy.get("bindings"):
                name = f"//iam.googleapis.com/projects/{project}/serviceAccounts/{row['uniqueId']}"
                yield _policy(scope, name, "iam.googleapis.com/ServiceAccount", account, policy["bindings"])

    found: Iterable[Record] = evaluated(read())
    return found
