"""Variables of the organization, of repositories, of environments.

GitHub returns their values in plain text: each is inspected here and dropped, unless it is only an identifier.
https://docs.github.com/en/rest/actions/variables
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from collectors.github.facts import Identifier
from collectors.github.stores import (
    ACTIONS,
    AGENTS,
    SecretStore,
    StoragePlace,
    available_to,
    environment_place,
    organization_place,
    repository_place,
)
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Secret, record_id
from scanner.secrets.detectors import inspect

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from collectors.github.facts import EnvironmentFacts, RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.records import Record

_PAGE = {"per_page": 30}
"""GitHub's largest page of variables."""
_NAMES = re.compile(
    r"ROLE|ACCOUNT|REGION|CLUSTER|SERVICE|FUNCTION|LAMBDA|NAMESPACE|PROJECT|APP|CLIENT_ID", re.IGNORECASE
)
_IDENTIFIER = re.compile(
    r"arn:aws[\w-]*:[\w-]+:[\w-]*:\d{0,12}:[\w+=,.@/:-]{1,200}|\d{12}|[A-Za-z0-9][A-Za-z0-9_./@-]{0,80}"
)


def identifier(name: str, value: str) -> str | None:
    """Return the value of a variable that identifies a role, an account or a workload; None for everything else.
    Workflows use ``role-to-assume: ${{ vars.DEPLOY_ROLE }}``: without the value, the role is unknown. Only ARNs,
    account numbers and, if the variable's name says so, plain words are kept; never a value that a detector matches.
    """
    text = value.strip()
    if not _IDENTIFIER.fullmatch(text):
        return None
    return text if text.startswith("arn:") or _NAMES.search(name) else None


def organization_variables(scope: OrganizationScope) -> Generator[Record, None, tuple[Identifier, ...]]:
    """Yield the organization's variables that are secrets. Return the identifiers among them, sorted by name."""
    named: tuple[Identifier, ...] | None = None
    for store, needs in (
        (ACTIONS, "organization_actions_variables: read"),
        (AGENTS, "organization_agent_variables: read"),
    ):
        found = yield from with_coverage(
            _of_organization(scope, store),
            scope.request(
                "secrets",
                f"GET /orgs/{{org}}/{store.app}/variables",
                kind=_kind(store),
                needs=needs,
            ),
            classify=store.classify,
        )
        if store is ACTIONS:
            named = found
    return tuple(sorted(named or (), key=lambda one: one.name))


def _of_organization(
    scope: OrganizationScope, store: SecretStore
) -> Generator[Record, None, tuple[Identifier, ...]]:
    call = f"/orgs/{{org}}/{store.app}/variables"
    named = []
    for item in scope.client.items(scope.path(call), _PAGE, at="variables"):
        repositories = available_to(scope, call, item)
        value = yield from _variable(scope, store, organization_place(scope), item, repositories)
        if value is not None:
            named.append(
                Identifier(
                    name=str(item["name"]),
                    value=value,
                    visibility=str(item.get("visibility")),
                    available_to=tuple(repositories),
                )
            )
    return tuple(named)


def repository_variables(
    scope: OrganizationScope, repository: RepositoryFacts, *, rare: bool
) -> Generator[Record, None, dict[str, str]]:
    """Yield a repository's variables that are secrets; with ``rare``, also agents variables. Returns the identifiers
    among them, by name.
    """
    place = repository_place(repository)
    named = yield from _read(
        scope.of(repository),
        "/repos/{owner}/{repo}/actions/variables",
        ACTIONS,
        place,
        needs="actions_variables: read",
    )
    if rare:
        yield from _read(
            scope.of(repository),
            "/repos/{owner}/{repo}/agents/variables",
            AGENTS,
            place,
            needs="agent_variables: read",
        )
    return named


def environment_variables(
    scope: OrganizationScope, repository: RepositoryFacts, environment: EnvironmentFacts
) -> Generator[Record, None, dict[str, str]]:
    """Yield an environment's variables that are secrets. Return the identifiers among them, by name."""
    return (
        yield from _read(
            scope.of(repository),
            "/repos/{owner}/{repo}/environments/{environment_name}/variables",
            ACTIONS,
            environment_place(repository, environment),
            needs="environments: read",
            item=environment.number,
            environment_name=environment.name,
        )
    )


def _read(
    scope: OrganizationScope,
    call: str,
    store: SecretStore,
    place: StoragePlace,
    *,
    needs: str,
    item: str | None = None,
    **names: str,
) -> Generator[Record, None, dict[str, str]]:
    """Read a list of variables; ``scope`` is the repository's. Returns the identifiers among them. ETags are not used:
    the values are needed every night and are not stored.
    """

    def read() -> Generator[Record, None, dict[str, str]]:
        named = {}
        for held in scope.client.items(scope.path(call, **names), _PAGE, at="variables"):
            value = yield from _variable(scope, store, place, held)
            if value is not None:
                named[str(held["name"])] = value
        return named

    found = yield from with_coverage(
        read(),
        scope.request("secrets", f"GET {call}", kind=_kind(store), needs=needs, item=item),
        store.classify,
    )
    return found or {}


def _kind(store: SecretStore) -> str:
    return "github-variable" if store is ACTIONS else f"github-{store.app}"


def _variable(
    scope: OrganizationScope,
    store: SecretStore,
    place: StoragePlace,
    item: dict[str, Any],
    repositories: Sequence[str] = (),
) -> Generator[Record, None, str | None]:
    """Yield a variable as a secret, without its value, if its value or name looks like one. Returns the value of a
    variable that is only an identifier, to resolve workflows with; otherwise None.
    """
    name, value = str(item["name"]), str(item.get("value") or "")
    seen = inspect(name, value, scope.run.fingerprint)
    if seen is None:
        return identifier(name, value) if store is ACTIONS else None
    key_id = seen.key_id
    path = place.path if store is ACTIONS else f"{place.path}/{store.app}"
    yield Secret(
        id=record_id("github", "github-variable", f"{path}/{name}"),
        provider="github",
        account_id=place.account_id,
        store="github-variable",
        name=name,
        environment=place.environment,
        readable=True,
        masked=False,
        protected=place.protected,
        visibility=item.get("visibility") or place.visibility,
        available_to=list(repositories),
        looks_like=seen.looks_like,
        recognized_by=seen.recognized_by,
        length=seen.length,
        fingerprint=seen.fingerprint,
        credential_id=record_id("aws", "access-key", key_id)
        if key_id and key_id.startswith(("AKIA", "ASIA"))
        else None,
        encrypted=False,
        rotation_enabled=False,
        created_at=utc_time(item.get("created_at")),
        updated_at=utc_time(item.get("updated_at")),
        location=place.address,
    )
    return None
