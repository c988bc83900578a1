"""What limits grants: deny policies, principal access boundaries and organization policies.

https://docs.cloud.google.com/iam/docs/policy-types. Deny policies are not in Cloud Asset Inventory: each place is asked, and each
policy once more, since the list has no rules.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from collectors.gcp.calls import DENIES, DENY
from collectors.gcp.names import CONTAINERS, folder_id, last, own, part, project_id
from collectors.gcp.per_project import TOO_MANY
from collectors.gcp.records import stored_policy
from scanner.collect.listings import with_coverage
from scanner.records import Control, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.gcp.scope import GcpScope
    from scanner.records import Enforcement, Policy, Record

BOUNDARY = "iam.googleapis.com/PrincipalAccessBoundaryPolicy"
BINDING = "iam.googleapis.com/PolicyBinding"
CONSTRAINT = "orgpolicy.googleapis.com/Policy"
DENY_NEEDS = "Deny Reviewer (roles/iam.denyReviewer)"


def deny_policies(scope: GcpScope) -> Iterator[Record]:
    """Yield the deny policies of the organization, of its folders and of its projects."""
    if scope.kind == "organizations":
        yield from _of_place(scope, scope.account_id, f"organizations/{scope.number}")
        for folder in scope.held.folders:
            yield from _of_place(scope, folder_id(folder), f"folders/{folder}")
    for project in sorted(scope.held.projects):
        if scope.asks_each_project:
            yield from _of_place(scope, project_id(project), f"projects/{project}")
        else:
            yield scope.within(project_id(project)).unseen(
                "policies", "gcp-deny-policy", f"GET {DENIES}", TOO_MANY, needs=DENY_NEEDS
            )


def _of_place(scope: GcpScope, account: str, place: str) -> Iterator[Record]:
    at = f"cloudresourcemanager.googleapis.com/{place}"
    here = scope.within(account, attachmentPoint=at)

    def read() -> Iterator[Record]:
        for listed in scope.client.items(here.path(DENIES), at="policies"):
            name = last(str(listed["name"]))
            policy = scope.client.one(here.path(DENY, policy=name))
            yield _deny(account, str(policy["name"]), policy)

    request = here.request(
        "policies", f"GET {DENIES}", kind="gcp-deny-policy", needs=f"{DENY_NEEDS}, also for GET {DENY}"
    )
    yield from with_coverage(read(), request)


def _deny(account: str, name: str, policy: dict[str, Any]) -> Policy:
    return stored_policy(
        "gcp-deny-policy",
        account,
        name,
        document={"rules": policy.get("rules") or []},
        to=[account],
        name=str(policy.get("displayName") or last(name)),
    )


def boundaries(scope: GcpScope) -> Iterator[Record]:
    """Yield principal access boundary policies and what they are bound to."""
    if scope.kind != "organizations":
        return
    for asset_type, kind in ((BOUNDARY, "principal-access-boundary"), (BINDING, "policy-binding")):
        yield from scope.assets(
            asset_type,
            partial(_limit, kind),
            table="policies",
            kind=kind,
        )


def _limit(kind: str, asset: dict[str, Any], data: dict[str, Any], account: str) -> Iterator[Record]:
    name = str(asset["name"]).removeprefix("//iam.googleapis.com/")
    kept = {
        key: data[key]
        for key in ("details", "target", "policy", "policyKind", "condition")
        if data.get(key) is not None
    }
    yield stored_policy(kind, account, name, document=kept, to=[account], name=str(data["name"]))


def organization_policies(scope: GcpScope) -> Iterator[Record]:
    """Yield each organization policy that is set somewhere, as a control of the place where it is set.

    https://docs.cloud.google.com/resource-manager/docs/organization-policy/overview: ``dryRunSpec`` is only audited.
    """
    yield from scope.assets(
        CONSTRAINT,
        lambda asset, data, _: _constraint(scope, asset, data),
        table="controls",
        kind="gcp-organization-policy",
        loses=("links/can_become",),
    )


def _constraint(scope: GcpScope, asset: dict[str, Any], data: dict[str, Any]) -> Iterator[Record]:
    name = str(data.get("name") or asset["name"]).removeprefix("//orgpolicy.googleapis.com/")
    container, _, rest = name.partition("/policies/")
    account = scope.held.account_of(container) or scope.account_id
    spec, dry = data.get("spec") or {}, data.get("dryRunSpec") or {}
    enforced, audited = _enforced(spec), _enforced(dry)
    enforcement: Enforcement = "enforced" if enforced else "audited" if audited else "absent"
    conditional = any(rule.get("condition") for rule in spec.get("rules") or [])
    yield Control(
        id=record_id("gcp", "organization-policy", f"{account}/{rest}"),
        **own(account),
        stage="runtime",
        kind="gcp-organization-policy",
        name=rest,
        enforcement="audited" if enforced and conditional else enforcement,
        target=account,
        detail=f"{rest} is {'enforced' if enforced else 'only audited' if audited else 'not enforced'}"
        + (" for some resources, by their tags" if conditional else ""),
    )


def _enforced(spec: dict[str, Any]) -> bool:
    """Return whether a policy restricts anything: a constraint that is enforced, or a list that does not allow all."""
    return any(
        rule.get("enforce") is True or rule.get("denyAll") is True or bool(rule.get("values"))
        for rule in spec.get("rules") or []
    )


def container_of(resource: str) -> str | None:
    """Return ``projects/p`` of the full name of a project, folder or organization; None for another resource."""
    for kind in ("projects", "folders", "organizations"):
        if resource.startswith(f"{CONTAINERS}{kind}/"):
            return f"{kind}/{part(resource, kind)}"
    return None
