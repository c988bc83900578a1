"""Personal access tokens and SSH keys of users, where the scanner is a token administrator.

https://learn.microsoft.com/rest/api/azure/devops/tokenadmin/personal-access-tokens/list : one list for each user, for
administrators of the organization only. A token's last use is not in it, its value never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure_devops.calls import PREVIEW
from collectors.azure_devops.scope import PROVIDER
from scanner.collect.listings import side_by_side
from scanner.collect.paging import TokenInBody
from scanner.collect.scope import utc_time
from scanner.records import Credential, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

CALL = "/_apis/tokenadmin/personalaccesstokens/{user}"
NEEDS = "Project Collection Administrator, with the scope Token Administration"
_PAGES = TokenInBody(at="value", token="continuationToken", parameter="continuationToken")  # noqa: S106  a place
KINDS = {"false": "ado-pat", "true": "ado-ssh-key"}
"""What ``isPublic`` asks for."""


def tokens(scope: DevOpsScope, users: Mapping[str, str]) -> Iterator[Record]:
    """Yield the tokens and SSH keys of users. ``users`` are subject descriptors, with the ids of the users' records."""
    if not scope.config.personal_access_tokens:
        for kind in KINDS.values():
            yield scope.unseen(
                "credentials",
                kind,
                f"GET {CALL}",
                "Only an administrator of the organization lists the tokens of users: personal_access_tokens is off.",
                needs=NEEDS,
            )
        return
    here = scope.on(scope.clients.graph)
    yield from side_by_side(
        [
            _of_user(here, descriptor, me, public)
            for descriptor, me in sorted(users.items())
            for public in KINDS
        ],
        scope.config.workers,
    )


def _of_user(scope: DevOpsScope, descriptor: str, me: str, public: str) -> Iterator[Record]:
    kind = KINDS[public]

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number = str(item["authorizationId"]).lower()
        ends = utc_time(item.get("validTo"))
        scopes = str(item.get("scope") or "").split()
        organizations = item.get("targetAccounts")
        several = isinstance(organizations, list) and len(organizations) != 1
        yield Credential(
            id=record_id(PROVIDER, kind, number),
            **scope.own,
            identity_id=me,
            kind=kind,
            native_id=number,
            name=str(item.get("displayName") or number),
            lifetime="expiring" if ends is not None else "static",
            enabled=False if item.get("isValid") is False else None,
            created_at=utc_time(item.get("validFrom")),
            expires_at=ends,
            scopes=sorted({*scopes, *(["all organizations"] if several else [])}),
        )

    yield from scope.listing(
        CALL,
        convert,
        table="credentials",
        kind=kind,
        needs=NEEDS,
        parameters={**PREVIEW, "isPublic": public},
        paginator=_PAGES,
        item=me.rpartition(":")[2],
        user=descriptor,
    )
