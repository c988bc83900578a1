"""A project's environments: who may deploy to them, with whose approval, and through which cluster agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gitlab.access_levels import PREMIUM, allowed
from collectors.gitlab.records import control
from scanner.collect.failures import unsupported_on
from scanner.collect.listings import with_coverage
from scanner.records import Link, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.gitlab.facts import GitLabPlace, ProjectFacts
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Record


def environments(
    scope: GitLabScope, project: ProjectFacts, *, deploys: bool
) -> Generator[Record, None, list[str] | None]:
    """Yield for each environment whether deployments need an approval, and who may deploy.

    https://docs.gitlab.com/api/protected_environments/ https://docs.gitlab.com/ci/environments/deployment_approvals/

    Returns the names of the environments that exist; None if the list is incomplete. Without environments, and if the
    pipeline ``deploys`` to none, there is nothing to protect. Nothing runs in an environment that is stopped, so it has no
    controls. The ``tier`` says what an environment is for, whatever its name:
    https://docs.gitlab.com/ci/environments/#deployment-tier-of-environments . The agent of an environment is the one that
    its jobs deploy through: https://docs.gitlab.com/ci/environments/kubernetes_dashboard/
    """
    existing: list[str] | None = None
    place = project.place
    needs = "Maintainer of the project (GitLab Premium)"

    def read() -> Iterator[Record]:
        nonlocal existing
        rows = {
            str(item["name"]): item
            for item in scope.client.items(scope.at(place).path("/projects/:id/environments"))
        }
        existing = list(rows)
        names = {name: item for name, item in rows.items() if item.get("state") != "stopped"}
        for item in names.values():
            yield from _through_agent(project, item)
        guarded = (
            {
                str(item["name"]): item
                for item in scope.client.items(scope.at(place).path("/projects/:id/protected_environments"))
            }
            if rows or deploys
            else {}
        )
        for name in sorted({*names, *guarded} - (rows.keys() - names.keys())):
            yield from _environment(place, name, names.get(name, {}), guarded.get(name))

    yield from with_coverage(
        read(),
        scope.at(place).request(
            "controls",
            "GET /projects/:id/protected_environments",
            kind="environment-approval",
            needs=needs,
        ),
        fills=("controls/environment-protection",),
        classify=unsupported_on({404}, PREMIUM),
    )
    return existing


def _through_agent(project: ProjectFacts, item: dict[str, Any]) -> Iterator[Link]:
    """Yield which agent for Kubernetes a project's jobs deploy through to an environment, and the namespace."""
    agent = item.get("cluster_agent")
    if not agent or not project.ci_enabled:
        return
    namespace = item.get("kubernetes_namespace")
    yield Link(
        id=record_id("gitlab", "link", f"environment/{project.place.number}/{item['id']}"),
        provider="gitlab",
        account_id=project.place.account_id,
        source_id=record_id("gitlab", "pipeline", project.place.number),
        relation="uses",
        target_id=record_id("gitlab", "agent", str(agent["id"])),
        evidence=f"GET /projects/{project.place.number}/environments",
        why=f"Deployments to {item['name']} go to its cluster"
        + (f", namespace {namespace}." if namespace else "."),
        # A job can deploy to the environment without the agent.
        confidence="low",
    )


def _environment(
    place: GitLabPlace, name: str, item: dict[str, Any], guard: dict[str, Any] | None
) -> Iterator[Record]:
    # An environment can be protected before it exists.
    number = str(item.get("id", name))
    tier = item.get("tier")
    deploy = allowed((guard or {}).get("deploy_access_levels") or [])
    rules = (guard or {}).get("approval_rules") or []
    required = sum(int(rule.get("required_approvals") or 0) for rule in rules)
    required = max(required, int((guard or {}).get("required_approval_count") or 0))
    yield control(
        place,
        "environment-approval",
        f"{place.number}/{number}",
        stage="deploy",
        name=name,
        enforcement="enforced" if required else "absent",
        target=name,
        approvers=allowed(rules),
        tier=tier,
        detail=f"{required} approval(s) before a deployment."
        if required
        else "Deployments need no approval.",
    )
    yield control(
        place,
        "environment-protection",
        f"{place.number}/{number}",
        stage="deploy",
        name=name,
        enforcement="enforced" if guard and "Developer" not in deploy else "absent",
        target=name,
        tier=tier,
        detail=f"Can deploy: {', '.join(deploy) or 'no one'}."
        if guard
        else "Everyone who can run pipelines can deploy.",
    )
