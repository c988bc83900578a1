"""One organization's night: in which order its listings are read, and what is known to be invisible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github.failures import GitHubError, explain
from collectors.github.listings import (
    actions,
    audit_log,
    controls,
    credentials,
    oidc,
    organization,
    repositories,
    scanning,
    secrets,
    teams,
)
from collectors.github.listings.settings import Night, Organization, rare_secrets
from collectors.github.scope import Scope
from scanner.collect.failures import Failure
from scanner.collect.listings import ListingRequest, gap, preflight, side_by_side

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.github.client import Client
    from collectors.github.config import Config
    from collectors.github.listings.oidc import Template
    from scanner.collect.collector import Run, Target
    from scanner.collect.memory import Memory
    from scanner.records import Record


def night(client: Client, memory: Memory, target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield everything of one organization."""
    login = target.params["login"]

    def itself() -> Generator[Record, None, dict[str, Any]]:
        if "problem" in target.params:
            raise GitHubError("denied", target.params["problem"])
        org = client.one(f"/orgs/{login}")
        yield organization.account(org)
        return org

    asked = ListingRequest(
        provider="github",
        account_id=target.account_id,
        collector="github",
        target=target.name,
        table="*",
        call="GET /orgs/{org}",
        needs="metadata: read",
    )
    org = yield from preflight(itself(), asked, explain)
    if org is None:
        return
    scope = Scope(
        client=client, run=run, target=target, settings=config, login=str(org["login"]), number=int(org["id"])
    )
    yield from scope.told(
        organization.settings(scope, org),
        scope.asked("controls", "GET /orgs/{org}", kind="two-factor-requirement"),
        fills=("accounts/github-organization",),
    )
    yield from organization.people(scope, org)
    yield from teams.repository_roles(scope)
    facts = Organization()
    templates: list[Template] = []
    changed: list[set[str]] = []
    yield from side_by_side(
        [
            teams.teams(scope),
            *([organization.public_keys(scope)] if _keys_wanted(scope) else []),
            teams.roles(scope),
            credentials.installations(scope),
            credentials.fine_grained(scope),
            credentials.authorizations(scope),
            credentials.webhooks(scope),
            secrets.of_organization(scope, facts.variables),
            controls.organization_actions(scope, facts),
            controls.organization_rulesets(scope),
            controls.secret_scanning(scope),
            actions.organization_runners(scope),
            oidc.organization_template(scope, templates),
            scanning.alerts(scope),
            scanning.attestations(scope),
            *([audit_log.changed(scope, memory, changed)] if config.audit_log else []),
        ],
        config.workers,
    )
    facts.template = templates[0] if templates else None
    facts.variables.sort(key=lambda variable: variable.name)
    tonight = Night(memory=memory, organization=facts, changed=changed[0] if changed else None)
    public, private = org.get("public_repos"), org.get("total_private_repos")
    if isinstance(public, int) and isinstance(private, int):
        tonight.there = public + private
    yield from repositories.everything(scope, tonight)
    yield from _unseen(scope, tonight)


def _keys_wanted(scope: Scope) -> bool:
    """Tell whether people's public keys are read: two requests a person."""
    return len(scope.logins) <= scope.settings.public_keys_up_to


def _hidden(scope: Scope, tonight: Night) -> str | None:
    """Say that repositories are hidden from us, or may be; None when all are shown.

    The organization tells its number of private repositories to some tokens only, and an App whether it was given all.
    """
    if tonight.there is not None:
        few = tonight.shown < tonight.there
        return f"{tonight.shown} of {tonight.there} repositories are shown to this token." if few else None
    match scope.target.params.get("selection"):
        case "all":
            return None
        case "selected":
            return f"The App was given some repositories only: {tonight.shown} are shown."
        case _:
            return f"{tonight.shown} repositories are shown; how many there are is not told to this token."


def _counted(scope: Scope, tonight: Night) -> Iterator[Record]:
    """Yield nothing: what it leaves is the Coverage or Gap of seeing every repository."""
    hidden = _hidden(scope, tonight)
    if hidden is not None:
        raise GitHubError("denied", hidden)
    yield from ()


def _unseen(scope: Scope, tonight: Night) -> Iterator[Record]:
    """Yield what nobody can see, and what was not looked at tonight."""

    def unseen(table: str, kind: str, call: str, detail: str, needs: str | None = None) -> Record:
        return gap(
            scope.asked(table, call, kind=kind, needs=needs), Failure(reason="unsupported", detail=detail)
        )

    yield unseen(
        "credentials",
        "oauth-app",
        "OAuth apps",
        "GitHub has no list of the OAuth apps that an organization approved.",
    )
    yield unseen(
        "controls",
        "ruleset-bypass",
        "bypass actors",
        "Who may bypass a ruleset is shown only to those who may change it.",
        "administration: write (not asked for: this tool only reads)",
    )
    if not _keys_wanted(scope):
        yield unseen(
            "credentials",
            "ssh-key",
            "GET /users/{login}/keys",
            f"The public keys of {len(scope.logins)} people were not read.",
            "public_keys_up_to: a higher number",
        )
    yield from scope.told(
        _counted(scope, tonight),
        scope.asked(
            "accounts",
            "POST /graphql organization.repositories.totalCount",
            kind="github-repository",
            needs="the App or token on all repositories",
        ),
    )
    if tonight.archived:
        yield unseen(
            "secrets",
            "archived-repository",
            "archived repositories",
            f"{tonight.archived} archived repositories: their keys and webhooks were read, their secrets not. "
            "Archived repositories run no workflows.",
        )
    if not rare_secrets(scope, tonight):
        yield unseen(
            "secrets",
            "repository-codespaces-and-agents",
            "GET /repos/{owner}/{repo}/codespaces/secrets",
            "Repositories' Codespaces and agents secrets were not read: by default only on github.com, in "
            "organizations in which everything is read every night.",
            "rare_secrets: true",
        )
    yield from tonight.carried.gaps(
        scope.asked("coverage", "carried forward", kind="carried-forward"), "repositories"
    )
