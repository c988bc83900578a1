"""Stored secrets and variables: of the organisation, of repositories, of environments.

GitHub never shows a secret's value, nor who used it last. A variable's value it shows in clear: it is judged here and
dropped. https://docs.github.com/en/rest/actions/secrets https://docs.github.com/en/rest/actions/variables
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github.failures import explain, explain_unsupported
from collectors.github.scope import Scope, time
from scanner.detectors import inspect
from scanner.records import Secret, record_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collectors.github.structure import Repository
    from scanner.collect import Failure
    from scanner.records import Record

_ORGANISATION_NEEDS = {
    "actions": "organization_secrets: read",
    "dependabot": "organization_dependabot_secrets: read",
    "codespaces": "a user token with admin:org (not offered to GitHub Apps)",
    "agents": "organization_secrets: read",
}
_REPOSITORY_NEEDS = {
    "actions": "secrets: read",
    "dependabot": "dependabot_secrets: read",
    "codespaces": "codespaces_secrets: read",
    "agents": "secrets: read",
}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a secret is stored."""

    account_id: str
    path: str
    """Part of the record's id: ``org/7001001``, ``repo/5001``, ``repo/5001/env/3``."""
    address: str
    """What people call it: ``acme``, ``acme/app``."""
    visibility: str
    environment: str | None = None
    protected: bool | None = None


def secret(item: dict[str, Any], store: str, place: Place, repositories: str = "") -> Secret:
    """Return a stored secret: its name and dates."""
    return Secret(
        id=record_id("github", store, f"{place.path}/{item['name']}"),
        provider="github",
        account_id=place.account_id,
        store=store,
        name=item["name"],
        environment=place.environment,
        readable=False,
        masked=True,
        protected=place.protected,
        visibility=item.get("visibility") or place.visibility,
        encrypted=True,
        rotation_enabled=False,
        created_at=time(item.get("created_at")),
        updated_at=time(item.get("updated_at")),
        location=place.address,
        tags={"repositories": repositories} if repositories else {},
    )


def variable(scope: Scope, item: dict[str, Any], place: Place, app: str = "actions") -> Iterator[Secret]:
    """Yield a variable if its value or name says that it is a secret, and what can be said without the value."""
    seen = inspect(item["name"], str(item.get("value") or ""), scope.run.fingerprint)
    if seen is None:
        return
    key_id = seen.key_id
    path = place.path if app == "actions" else f"{place.path}/{app}"
    yield Secret(
        id=record_id("github", "github-variable", f"{path}/{item['name']}"),
        provider="github",
        account_id=place.account_id,
        store="github-variable",
        name=item["name"],
        environment=place.environment,
        readable=True,
        masked=False,
        protected=place.protected,
        visibility=item.get("visibility") or place.visibility,
        looks_like=seen.looks_like,
        length=seen.length,
        fingerprint=seen.fingerprint,
        credential_id=record_id("aws", "access-key", key_id)
        if key_id and key_id.startswith(("AKIA", "ASIA"))
        else None,
        encrypted=False,
        rotation_enabled=False,
        created_at=time(item.get("created_at")),
        updated_at=time(item.get("updated_at")),
        location=place.address,
    )


def _variables(scope: Scope, place: Place, app: str) -> Callable[[dict[str, Any]], Iterator[Record]]:
    return lambda item: variable(scope, item, place, app)


def _secrets(place: Place, app: str) -> Callable[[dict[str, Any]], Iterator[Record]]:
    def convert(item: dict[str, Any]) -> Iterator[Record]:
        yield secret(item, f"github-{app}", place)

    return convert


def of_organisation(scope: Scope) -> Iterator[Record]:
    """Yield the organisation's secrets and variables of all four kinds."""
    place = Place(
        account_id=scope.account_id,
        path=f"org/{scope.number}",
        address=scope.login,
        visibility="all",
    )
    for app in ("actions", "dependabot", "codespaces", "agents"):
        yield from scope.told(
            _organisation_secrets(scope, app, place),
            scope.asked(
                "secrets",
                f"GET /orgs/{{org}}/{app}/secrets",
                kind=f"github-{app}",
                needs=_ORGANISATION_NEEDS[app],
            ),
            explained=_explained(app),
        )
    for app in ("actions", "agents"):
        yield from scope.listing(
            f"/orgs/{{org}}/{app}/variables",
            _variables(scope, place, app),
            table="secrets",
            kind="github-variable" if app == "actions" else f"github-{app}",
            needs="organization_actions_variables: read",
            inside="variables",
            parameters={"per_page": 30},
            explained=_explained(app),
        )


def _explained(app: str) -> Callable[[Exception], Failure | None]:
    match app:
        case "codespaces":
            return explain_unsupported("GitHub Enterprise Server has no Codespaces secrets.")
        case "agents":
            return explain_unsupported(
                "Agents secrets are not offered on every plan, nor on GitHub Enterprise Server."
            )
        case _:
            return explain


def _organisation_secrets(scope: Scope, app: str, place: Place) -> Iterator[Record]:
    base = f"/orgs/{scope.login}/{app}/secrets"
    for item in scope.client.items(base, inside="secrets"):
        repositories = ""
        if item.get("visibility") == "selected":
            names = [
                str(repository["name"])
                for repository in scope.client.items(
                    f"{base}/{item['name']}/repositories", inside="repositories"
                )
            ]
            repositories = ",".join(sorted(names))
        yield secret(item, f"github-{app}", place, repositories)


def of_repository(scope: Scope, repository: Repository, *, rare: bool) -> Iterator[Record]:
    """Yield a repository's own secrets and variables; ``rare`` asks for Codespaces' and agents', too."""
    place = Place(
        account_id=repository.account_id,
        path=f"repo/{repository.number}",
        address=repository.full_name,
        visibility="repository",
        protected=False,
    )
    for app in ("actions", "dependabot", *(("codespaces", "agents") if rare else ())):
        yield from scope.listing(
            f"/repos/{{org}}/{{repo}}/{app}/secrets",
            _secrets(place, app),
            table="secrets",
            kind=f"github-{app}",
            needs=_REPOSITORY_NEEDS[app],
            inside="secrets",
            account_id=repository.account_id,
            explained=_explained(app),
            repo=repository.name,
        )
    for app in ("actions", *(("agents",) if rare else ())):
        yield from scope.listing(
            f"/repos/{{org}}/{{repo}}/{app}/variables",
            _variables(scope, place, app),
            table="secrets",
            kind="github-variable" if app == "actions" else f"github-{app}",
            needs="actions_variables: read",
            inside="variables",
            parameters={"per_page": 30},
            account_id=repository.account_id,
            explained=_explained(app),
            repo=repository.name,
        )


def of_environment(
    scope: Scope, repository: Repository, number: str, name: str, *, protected: bool
) -> Iterator[Record]:
    """Yield the secrets and variables of one environment of a repository."""
    place = Place(
        account_id=repository.account_id,
        path=f"repo/{repository.number}/env/{number}",
        address=f"{repository.full_name} environment {name}",
        visibility="environment",
        environment=name,
        protected=protected,
    )
    yield from scope.listing(
        "/repos/{org}/{repo}/environments/{environment_name}/secrets",
        _secrets(place, "actions"),
        table="secrets",
        kind="github-actions",
        needs="environments: read",
        inside="secrets",
        account_id=repository.account_id,
        item=number,
        salt=str(protected),
        repo=repository.name,
        environment_name=name,
    )
    yield from scope.listing(
        "/repos/{org}/{repo}/environments/{environment_name}/variables",
        _variables(scope, place, "actions"),
        table="secrets",
        kind="github-variable",
        needs="environments: read",
        inside="variables",
        parameters={"per_page": 30},
        account_id=repository.account_id,
        item=number,
        salt=str(protected),
        repo=repository.name,
        environment_name=name,
    )
