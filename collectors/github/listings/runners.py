"""Self-hosted runners, and the runner groups that define who may use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github.records import control
from scanner.collect.failures import unsupported_on
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.github.facts import RepositoryFacts
    from collectors.github.scope import OrganizationScope
    from scanner.records import Record


def _runner(item: dict[str, Any], account_id: str, place: str) -> Identity:
    labels = sorted(str(label["name"]) for label in item.get("labels") or [])
    return Identity(
        id=record_id("github", "runner", f"{place}/{item['id']}"),
        provider="github",
        account_id=account_id,
        surface="automation",
        kind="github-runner",
        native_id=str(item["id"]),
        name=str(item["name"]),
        # An offline runner is still registered, and takes jobs as soon as it connects. None can be disabled:
        # https://docs.github.com/en/rest/actions/self-hosted-runners
        enabled=True,
        tags={
            "os": str(item.get("os")),
            "status": str(item.get("status")),
            "labels": ",".join(labels),
            "group": str(item.get("runner_group_id") or ""),
            "ephemeral": {True: "true", False: "false"}.get(item.get("ephemeral"), "unknown"),  # type: ignore[arg-type]
        },
    )


def organization_runners(scope: OrganizationScope) -> Iterator[Record]:
    """Yield the organization's runners and runner groups. GitHub does not show when a runner last ran a job."""
    yield from scope.listing(
        "/orgs/{org}/actions/runners",
        lambda item: (_runner(item, scope.account_id, f"org/{scope.number}"),),
        table="identities",
        kind="github-runner",
        needs="organization_self_hosted_runners: read",
        at="runners",
    )

    def hosted(item: dict[str, Any]) -> Iterator[Record]:
        yield Identity(
            id=record_id("github", "hosted-runner", str(item["id"])),
            provider="github",
            account_id=scope.account_id,
            surface="automation",
            kind="github-hosted-runner",
            native_id=str(item["id"]),
            name=str(item["name"]),
            enabled=item.get("status") != "Shutdown",
            last_used_at=utc_time(item.get("last_active_on")),
            managed_by="provider",
            tags={"group": str(item.get("runner_group_id") or "")},
        )

    yield from scope.listing(
        "/orgs/{org}/actions/hosted-runners",
        hosted,
        table="identities",
        kind="github-hosted-runner",
        needs="organization_administration: read",
        at="runners",
        classify=unsupported_on({404}, "Larger hosted runners are not available on every plan."),
    )

    yield from with_coverage(
        _groups(scope),
        scope.request(
            "controls",
            "GET /orgs/{org}/actions/runner-groups",
            kind="runner-group",
            needs="organization_self_hosted_runners: read",
        ),
    )


def _groups(scope: OrganizationScope) -> Generator[Record, None, None]:
    base = scope.path("/orgs/{org}/actions/runner-groups")
    for item in scope.client.items(base, at="runner_groups"):
        public = bool(item.get("allows_public_repositories"))
        reached = ""
        if item.get("visibility") == "selected":
            chosen = scope.client.items(f"{base}/{item['id']}/repositories", at="repositories")
            reached = f" ({', '.join(sorted(str(one['name']) for one in chosen)[:20])})"
        workflows = [str(name) for name in item.get("selected_workflows") or []]
        restricted = bool(item.get("restricted_to_workflows"))
        open_to_all = item.get("visibility") == "all"
        yield control(
            scope.account_id,
            "runner-group",
            f"{scope.number}/{item['id']}",
            stage="build",
            name=str(item["name"]),
            enforcement="enforced" if not public and (restricted or not open_to_all) else "absent",
            target=f"runner group {item['id']}",
            public=public,
            detail=f"Open to {item.get('visibility')} repositories{reached}; public repositories: "
            f"{'yes' if public else 'no'}; workflows: {', '.join(workflows[:10]) if restricted else 'any'}.",
        )


def repository_runners(scope: OrganizationScope, repository: RepositoryFacts) -> Iterator[Record]:
    """Yield the runners registered in one repository."""
    yield from scope.of(repository).listing(
        "/repos/{owner}/{repo}/actions/runners",
        lambda item: (_runner(item, repository.account_id, f"repo/{repository.number}"),),
        table="identities",
        kind="github-runner",
        needs="administration: read",
        at="runners",
    )
