"""The order in which one organization's listings are read, and what is known to be invisible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from collectors.github.facts import OrganizationFacts
from collectors.github.listings import (
    actions_settings,
    attestations,
    audit_log,
    authorizations,
    definition_texts,
    fine_grained_tokens,
    installations,
    oidc,
    organization,
    people,
    public_keys,
    repository_pages,
    roles,
    runners,
    secret_scanning,
    secrets,
    teams,
    variables,
    webhooks,
)
from collectors.github.listings.branch_bypass import BypassBatches
from collectors.github.listings.branch_rules import organization_rulesets, protection_ids
from collectors.github.records import organization_id
from collectors.github.repository_plan import ReadingPlan, read_repository, repository_account
from collectors.github.scope import SETTINGS_NEED, OrganizationScope
from scanner.collect.failures import SourceError, classify_error
from scanner.collect.listings import ListingRequest, gap, preflight, side_by_side, with_coverage
from scanner.collect.memory import Carried
from scanner.records import Reason

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from collectors.github.client import GitHubClient
    from collectors.github.config import Config
    from collectors.github.facts import RepositoryFacts
    from scanner.collect.collector import Run, Target
    from scanner.collect.memory import Memory
    from scanner.records import Record

_TABLES = ("identities", "credentials", "secrets", "grants", "links", "controls", "weaknesses", "deployments")
"""Tables that are incomplete if a repository is not visible."""


def night(client: GitHubClient, memory: Memory, target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield all records of one organization."""
    request = ListingRequest(
        provider="github",
        account_id=target.account_id,
        collector="github",
        target=target.name,
        table="*",
        call="GET /orgs/{org}",
        needs="metadata: read",
    )
    org = yield from preflight(_organization(client, target), request, classify_error)
    if org is None:
        return
    scope = OrganizationScope(
        client=client,
        run=run,
        target=target,
        config=config,
        memory=memory,
        login=str(org["login"]),
        number=int(org["id"]),
        account_id=organization_id(org["id"]),
        names={"org": str(org["login"]), "owner": str(org["login"])},
    )
    yield from with_coverage(
        organization.organization(org),
        scope.request("accounts", "GET /orgs/{org}", kind="github-organization"),
    )
    yield from with_coverage(
        organization.settings(scope, org),
        scope.request("controls", "GET /orgs/{org}", kind="two-factor-requirement", needs=SETTINGS_NEED),
        fills=tuple(f"controls/{kind}" for kind in organization.SETTINGS),
    )
    logins = yield from people.people(scope, org.get("default_repository_permission"))
    facts = yield from _facts(scope)
    changed = (yield from audit_log.changed(scope)) if config.audit_log else None
    keys = len(logins) <= config.public_keys_up_to
    yield from side_by_side(
        [
            teams.teams(scope, facts.roles),
            roles.organization_roles(scope),
            installations.installations(scope),
            fine_grained_tokens.fine_grained_tokens(scope),
            _user_credentials(scope, logins, keys=keys),
            webhooks.webhooks(scope),
            secrets.organization_secrets(scope),
            organization_rulesets(scope),
            secret_scanning.secret_scanning(scope),
            runners.organization_runners(scope),
            secret_scanning.alerts(scope),
            attestations.attestations(scope),
        ],
        config.workers,
    )
    public, private = org.get("public_repos"), org.get("total_private_repos")
    reported = public + private if isinstance(public, int) and isinstance(private, int) else None
    yield from with_coverage(
        _repositories(scope, facts, changed, reported),
        scope.request(
            "accounts",
            "POST /graphql organization.repositories",
            kind="github-repository",
            needs="metadata: read",
        ),
        loses=_TABLES,
    )
    yield from _known_gaps(scope)
    if not keys:
        yield scope.unseen(
            "credentials",
            "ssh-key",
            "GET /users/{login}/keys",
            f"The public keys of {len(logins)} users were not read.",
            needs="public_keys_up_to: a higher number",
        )


def _organization(client: GitHubClient, target: Target) -> Generator[Record, None, dict[str, Any]]:
    if "problem" in target.params:
        raise SourceError(msgspec.convert(target.params["reason"], Reason), target.params["problem"])
    yield from ()
    return client.one(f"/orgs/{target.params['login']}")


def _user_credentials(scope: OrganizationScope, logins: dict[str, str], *, keys: bool) -> Iterator[Record]:
    authorized = yield from authorizations.authorizations(scope, logins)
    if keys:
        yield from public_keys.public_keys(scope, logins, authorized)


def _facts(scope: OrganizationScope) -> Generator[Record, None, OrganizationFacts]:
    """Yield the listings that repositories depend on. Return their facts."""
    custom_roles = yield from roles.repository_roles(scope)
    workflows = yield from actions_settings.organization_actions(scope)
    template = yield from oidc.organization_template(scope)
    named = yield from variables.organization_variables(scope)
    return OrganizationFacts(roles=custom_roles, workflows=workflows, template=template, variables=named)


def _repositories(
    scope: OrganizationScope,
    facts: OrganizationFacts,
    changed: frozenset[str] | None,
    reported: int | None,
) -> Generator[Record, None, None]:
    """Yield all repositories. ``reported`` is the total that the organization reports."""
    plan: ReadingPlan | None = None
    bypass = BypassBatches(scope)
    carried = Carried()
    forbidden: list[str] = []
    archived = came = total = 0
    for page in repository_pages.pages(scope):
        came, total = came + len(page.repositories) + len(page.forbidden), page.total
        if plan is None:
            plan = _reading_plan(scope, facts, changed, page.total)
            yield from _visibility_coverage(scope, page.total, reported)
        forbidden += page.forbidden
        chosen = [repository for repository in page.repositories if scope.includes(repository.name)]
        archived += sum(repository.archived for repository in chosen)
        # A repository that the configuration excludes still exists: a trust in it is not a dangling trust.
        yield from (
            repository_account(scope, one, None) for one in page.repositories if not scope.includes(one.name)
        )
        readings = _read_page(scope, plan, carried, chosen)
        rules = {
            control: rule for repository in chosen for control, rule in protection_ids(repository).items()
        }
        yield from bypass.without_rules(readings, rules)
        scope.memory.save()
    yield from bypass.rest()
    if archived:
        yield scope.unseen(
            "secrets",
            "archived-repository",
            "archived repositories",
            f"{archived} archived repositories: their keys and webhooks were read, but not their secrets. "
            "Archived repositories run no workflows.",
        )
    if plan is not None and not plan.rare_secrets:
        yield scope.unseen(
            "secrets",
            "repository-codespaces-and-agents",
            "GET /repos/{owner}/{repo}/codespaces/secrets",
            "Repositories' Codespaces and agents secrets were not read: by default only on github.com, in "
            "organizations in which everything is read every night.",
            needs="rare_secrets: true",
        )
    yield from carried.gaps(
        scope.request("coverage", "carried forward", kind="carried-forward"), "repositories"
    )
    if forbidden:
        raise SourceError("denied", f"{len(forbidden)} repositories are not visible: {forbidden[0]}")
    if came < total:
        raise SourceError("truncated", f"{came} of {total} repositories were returned")


def _read_page(
    scope: OrganizationScope,
    plan: ReadingPlan,
    carried: Carried,
    repositories: Sequence[RepositoryFacts],
) -> Iterator[Record]:
    """Yield all records of one page of repositories; notes in ``carried`` which were not read again."""
    files = yield from definition_texts.definition_texts(scope, repositories)
    for repository in repositories:
        yield repository_account(scope, repository, files.owner(repository))
        if failure := files.owner_failure(repository):
            request = scope.of(repository).request(
                "accounts",
                "POST /graphql repository.object (CODEOWNERS)",
                kind="owner",
                needs="contents: read",
            )
            yield gap(request, failure)
    readings = yield from side_by_side(
        [
            with_coverage(
                read_repository(scope, plan, files, repository),
                scope.of(repository).request(
                    "accounts",
                    "repository",
                    kind="github-repository",
                ),
                loses=_TABLES,
            )
            for repository in repositories
        ],
        scope.config.workers,
    )
    for carried_from in readings:
        if carried_from is not None:
            carried.note(carried_from)


def _reading_plan(
    scope: OrganizationScope, facts: OrganizationFacts, changed: frozenset[str] | None, repositories: int
) -> ReadingPlan:
    rotate = repositories > scope.config.rotate_above
    rare = scope.config.rare_secrets
    return ReadingPlan(
        organization=facts,
        changed=changed,
        rotate=rotate,
        # GitHub Enterprise Server has none, and in large organizations they take too long.
        rare_secrets=not (rotate or scope.config.server) if rare is None else rare,
    )


def _visibility_coverage(scope: OrganizationScope, shown: int, total: int | None) -> Iterator[Record]:
    """Yield a Coverage or Gap for whether every repository is visible. Only some tokens can read the organization's
    number of private repositories; an App can see whether it is installed on all.
    """
    match scope.target.params.get("selection"):
        case _ if total is not None:
            hidden = f"{shown} of {total} repositories are visible to this token." if shown < total else None
        case "all":
            hidden = None
        case "selected":
            hidden = f"The App is installed on selected repositories only: {shown} are visible."
        case _:
            hidden = f"{shown} repositories are visible; this token cannot see the total number."

    def count() -> Generator[Record, None, None]:
        if hidden is not None:
            raise SourceError("denied", hidden)
        yield from ()

    yield from with_coverage(
        count(),
        scope.request(
            "accounts",
            "POST /graphql organization.repositories.totalCount",
            kind="github-repository",
            needs="access of the App or token to all repositories",
        ),
    )


def _known_gaps(scope: OrganizationScope) -> Iterator[Record]:
    """Yield the Gaps for what GitHub shows to nobody, or not to read-only tokens."""
    yield scope.unseen(
        "credentials",
        "oauth-app",
        "OAuth apps",
        "GitHub has no API that lists the OAuth apps approved by an organization.",
    )
    yield scope.unseen(
        "controls",
        "ruleset-bypass",
        "bypass actors",
        "Ruleset bypass lists are visible only to those who can edit the ruleset; sprawlscan only reads.",
    )
