"""Stored secrets and variables: of the organization, of repositories, of environments.

GitHub never shows a secret's value, nor who used it last. A variable's value it shows in clear: it is judged here and
dropped. https://docs.github.com/en/rest/actions/secrets https://docs.github.com/en/rest/actions/variables
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github.failures import explain, explain_unsupported
from collectors.github.scope import Scope, time
from scanner.records import Secret, record_id
from scanner.secrets.detectors import inspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collectors.github.listings.environments import Environment
    from collectors.github.listings.structure import Repository
    from scanner.collect.failures import Failure
    from scanner.records import Record

_ORGANIZATION_NEEDS = {
    "actions": "organization_secrets: read",
    "dependabot": "organization_dependabot_secrets: read",
    "codespaces": "a user token with admin:org (not offered to GitHub Apps)",
    "agents": "organization_agent_secrets: read",
}
_REPOSITORY_NEEDS = {
    "actions": "secrets: read",
    "dependabot": "dependabot_secrets: read",
    "codespaces": "codespaces_secrets: read",
    "agents": "agent_secrets: read",
}


class Identifier(msgspec.Struct, frozen=True, kw_only=True):
    """A variable that names something, and which repositories get it."""

    name: str
    value: str
    visibility: str = "all"
    repositories: tuple[str, ...] = ()


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


_NAMES = re.compile(
    r"ROLE|ACCOUNT|REGION|CLUSTER|SERVICE|FUNCTION|LAMBDA|NAMESPACE|PROJECT|APP|CLIENT_ID", re.IGNORECASE
)
_IDENTIFIER = re.compile(
    r"arn:aws[\w-]*:[\w-]+:[\w-]*:\d{0,12}:[\w+=,.@/:-]{1,200}|\d{12}|[A-Za-z0-9][A-Za-z0-9_./@-]{0,80}"
)


def identifier(name: str, value: str) -> str | None:
    """Return the value of a variable that names a role, an account or a workload; None for everything else.

    Workflows say ``role-to-assume: ${{ vars.DEPLOY_ROLE }}``: without its value the role stays unknown. Only ARNs,
    account numbers and, under a telling name, plain words are kept; never what a detector takes for a secret.
    """
    text = value.strip()
    if not _IDENTIFIER.fullmatch(text):
        return None
    return text if text.startswith("arn:") or _NAMES.search(name) else None


def variable(
    scope: Scope,
    item: dict[str, Any],
    place: Place,
    app: str,
    *,
    identifiers: dict[str, str],
    repositories: str = "",
) -> Iterator[Secret]:
    """Yield a variable if its value or name says that it is a secret, and what can be said without the value.

    One that only names something goes into ``identifiers`` instead. ``repositories`` are those that get it, where it is
    for some.
    """
    name, value = str(item["name"]), str(item.get("value") or "")
    seen = inspect(name, value, scope.run.fingerprint)
    if seen is None:
        named = identifier(name, value)
        if named is not None and app == "actions":
            identifiers[name] = named
        return
    key_id = seen.key_id
    path = place.path if app == "actions" else f"{place.path}/{app}"
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
        tags={"repositories": repositories} if repositories else {},
    )


def _variables(
    scope: Scope,
    call: str,
    place: Place,
    *,
    app: str,
    needs: str,
    identifiers: dict[str, str],
    item: str | None = None,
    **names: str,
) -> Iterator[Record]:
    """Read a list of variables. Never by ETag: what they name must be at hand, and values are not remembered."""
    path = call.format(org=scope.login, **{key: scope.quoted(value) for key, value in names.items()})

    def read() -> Iterator[Record]:
        for held in scope.client.items(path, {"per_page": 30}, inside="variables"):
            yield from variable(scope, held, place, app, identifiers=identifiers)

    documented = call.replace("/repos/{org}/", "/repos/{owner}/")
    yield from scope.told(
        read(),
        scope.asked(
            "secrets",
            f"GET {documented} ({item})" if item else f"GET {documented}",
            kind="github-variable" if app == "actions" else f"github-{app}",
            needs=needs,
            account_id=place.account_id,
        ),
        explained=_explained(app),
    )


def _secrets(place: Place, app: str) -> Callable[[dict[str, Any]], Iterator[Record]]:
    def convert(item: dict[str, Any]) -> Iterator[Record]:
        yield secret(item, f"github-{app}", place)

    return convert


def of_organization(scope: Scope, found: list[Identifier]) -> Iterator[Record]:
    """Yield the organization's secrets and variables of all four kinds; fills ``found``."""
    place = Place(
        account_id=scope.account_id,
        path=f"org/{scope.number}",
        address=scope.login,
        visibility="all",
    )
    for app in ("actions", "dependabot", "codespaces", "agents"):
        yield from scope.told(
            _organization_secrets(scope, app, place),
            scope.asked(
                "secrets",
                f"GET /orgs/{{org}}/{app}/secrets",
                kind=f"github-{app}",
                needs=_ORGANIZATION_NEEDS[app],
            ),
            explained=_explained(app),
        )
    for app in ("actions", "agents"):
        yield from scope.told(
            _organization_variables(scope, app, place, found),
            scope.asked(
                "secrets",
                f"GET /orgs/{{org}}/{app}/variables",
                kind="github-variable" if app == "actions" else f"github-{app}",
                needs="organization_actions_variables: read"
                if app == "actions"
                else "organization_agent_variables: read",
            ),
            explained=_explained(app),
        )


def _organization_variables(
    scope: Scope, app: str, place: Place, found: list[Identifier]
) -> Iterator[Record]:
    base = f"/orgs/{scope.login}/{app}/variables"
    for item in scope.client.items(base, {"per_page": 30}, inside="variables"):
        repositories: tuple[str, ...] = ()
        if item.get("visibility") == "selected":
            path = f"{base}/{scope.quoted(str(item['name']))}/repositories"
            repositories = tuple(
                sorted(str(one["name"]) for one in scope.client.items(path, inside="repositories"))
            )
        named: dict[str, str] = {}
        yield from variable(scope, item, place, app, identifiers=named, repositories=",".join(repositories))
        found += [
            Identifier(
                name=name,
                value=value,
                visibility=str(item.get("visibility")),
                repositories=repositories,
            )
            for name, value in named.items()
        ]


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


def _organization_secrets(scope: Scope, app: str, place: Place) -> Iterator[Record]:
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


def of_repository(
    scope: Scope, repository: Repository, *, rare: bool, identifiers: dict[str, str]
) -> Iterator[Record]:
    """Yield a repository's own secrets and variables; ``rare`` asks for Codespaces' and agents', too.

    Fills ``identifiers``.
    """
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
        yield from _variables(
            scope,
            f"/repos/{{org}}/{{repo}}/{app}/variables",
            place,
            app=app,
            needs="actions_variables: read" if app == "actions" else "agent_variables: read",
            identifiers=identifiers,
            repo=repository.name,
        )


def of_environment(scope: Scope, repository: Repository, environment: Environment) -> Iterator[Record]:
    """Yield the secrets and variables of one environment; fills its ``identifiers``."""
    number, name = environment.number, environment.name
    place = Place(
        account_id=repository.account_id,
        path=f"repo/{repository.number}/env/{number}",
        address=f"{repository.full_name} environment {name}",
        visibility="environment",
        environment=name,
        protected=environment.protected,
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
        salt=str(environment.protected),
        repo=repository.name,
        environment_name=name,
    )
    yield from _variables(
        scope,
        "/repos/{org}/{repo}/environments/{environment_name}/variables",
        place,
        app="actions",
        needs="environments: read",
        identifiers=environment.identifiers,
        item=number,
        repo=repository.name,
        environment_name=name,
    )
