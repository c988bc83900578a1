"""Custom roles of GitHub Enterprise Cloud: repository roles, and organization roles with their holders.

https://docs.github.com/en/rest/orgs/custom-roles
https://docs.github.com/en/rest/orgs/organization-roles
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github import powers
from collectors.github.records import user_id
from scanner.collect.failures import unsupported_on
from scanner.collect.listings import with_coverage
from scanner.records import Grant, level_of, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.github.scope import OrganizationScope
    from scanner.records import Power, Record


class _Role(msgspec.Struct, frozen=True, kw_only=True):
    number: str
    name: str
    powers: list[Power]
    permissions: list[str]


def repository_roles(scope: OrganizationScope) -> Generator[Record, None, dict[str, list[Power]]]:
    """Yield no record. Return what each custom repository role allows, by its name."""
    found = yield from with_coverage(
        _repository_roles(scope),
        scope.request(
            "grants",
            "GET /orgs/{org}/custom-repository-roles",
            kind="github-custom-repository-role",
            needs="organization_custom_roles: read",
        ),
        classify=unsupported_on({404}, "Custom repository roles are a feature of GitHub Enterprise Cloud."),
    )
    return found or {}


def _repository_roles(scope: OrganizationScope) -> Generator[Record, None, dict[str, list[Power]]]:
    yield from ()
    items = scope.client.items(scope.path("/orgs/{org}/custom-repository-roles"), at="custom_roles")
    return {str(item["name"]): powers.of_custom_role(item) for item in items}


def organization_roles(scope: OrganizationScope) -> Iterator[Record]:
    """Yield the holders of organization roles other than owner and member."""
    absent = unsupported_on({404}, "Organization roles are a feature of GitHub Enterprise Cloud.")
    found = yield from with_coverage(
        _organization_roles(scope),
        scope.request(
            "grants",
            "GET /orgs/{org}/organization-roles",
            kind="github-organization-role",
            needs="organization_custom_org_roles: read",
        ),
        classify=absent,
    )
    for role in found or ():
        for holders in ("users", "teams"):
            yield from scope.listing(
                f"/orgs/{{org}}/organization-roles/{{role_id}}/{holders}",
                partial(_holder, scope, role, holders),
                table="grants",
                kind="github-organization-role",
                needs="organization_custom_org_roles: read",
                classify=absent,
                item=role.number,
                role_id=role.number,
            )


def _organization_roles(scope: OrganizationScope) -> Generator[Record, None, list[_Role]]:
    yield from ()
    return [
        _Role(
            number=str(item["id"]),
            name=str(item["name"]),
            powers=powers.of_organization_role(item),
            permissions=[str(name) for name in item.get("permissions") or []],
        )
        for item in scope.client.items(scope.path("/orgs/{org}/organization-roles"), at="roles")
    ]


def _holder(scope: OrganizationScope, role: _Role, holders: str, entry: dict[str, Any]) -> Iterator[Record]:
    identity = user_id(entry["id"]) if holders == "users" else record_id("github", "team", str(entry["id"]))
    yield Grant(
        id=record_id("github", "grant", f"{scope.number}/{identity}/role/{role.number}"),
        provider="github",
        account_id=scope.account_id,
        identity_id=identity,
        role=role.name,
        resource=f"{scope.login}/*",
        breadth="organization",
        powers=role.powers,
        level=level_of(role.powers),
        confidence="high" if role.powers else "low",
        via="organization role",
        actions=role.permissions[:10],
    )
