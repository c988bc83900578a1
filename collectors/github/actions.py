"""Self-hosted runners and the groups that say who may use them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github.controls import control
from scanner.records import Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.github.scope import Scope
    from collectors.github.structure import Repository
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
        enabled=item.get("status") == "online",
        tags={
            "os": str(item.get("os")),
            "status": str(item.get("status")),
            "labels": ",".join(labels),
            "group": str(item.get("runner_group_id") or ""),
            "ephemeral": {True: "true", False: "false"}.get(item.get("ephemeral"), "unknown"),  # type: ignore[arg-type]
        },
    )


def organisation_runners(scope: Scope) -> Iterator[Record]:
    """Yield the organisation's runners and runner groups. GitHub does not tell when a runner last worked."""
    yield from scope.listing(
        "/orgs/{org}/actions/runners",
        lambda item: (_runner(item, scope.account_id, f"org/{scope.number}"),),
        table="identities",
        kind="github-runner",
        needs="organization_self_hosted_runners: read",
        inside="runners",
    )

    def group(item: dict[str, Any]) -> Iterator[Record]:
        public = bool(item.get("allows_public_repositories"))
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
            detail=f"Open to {item.get('visibility')} repositories; public repositories: "
            f"{'yes' if public else 'no'}; workflows: {', '.join(workflows[:10]) if restricted else 'any'}.",
        )

    yield from scope.listing(
        "/orgs/{org}/actions/runner-groups",
        group,
        table="controls",
        kind="runner-group",
        needs="organization_self_hosted_runners: read",
        inside="runner_groups",
    )


def repository_runners(scope: Scope, repository: Repository) -> Iterator[Record]:
    """Yield the runners that one repository registered."""
    yield from scope.listing(
        "/repos/{org}/{repo}/actions/runners",
        lambda item: (_runner(item, repository.account_id, f"repo/{repository.number}"),),
        table="identities",
        kind="github-runner",
        needs="administration: read",
        inside="runners",
        account_id=repository.account_id,
        repo=repository.name,
    )
