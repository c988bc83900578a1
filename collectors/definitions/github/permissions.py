"""Permissions of a workflow's token that its jobs do not need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.definitions.definition import Problem
from collectors.definitions.github.steps import PRIVILEGED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.github.steps import Workflow
    from scanner.records import Severity

_SENSITIVE = frozenset(
    ("actions", "contents", "deployments", "id-token", "packages", "attestations", "pages", "security-events", "pull-requests")
)  # fmt: skip


def excess_permissions(workflow: Workflow) -> Iterator[Problem]:
    """Yield permissions that are not set, or broader than a job needs."""
    risky = bool(PRIVILEGED & set(workflow.triggers))
    given = workflow.permissions
    if given is None:
        unset: Severity = "high" if risky else "medium"
        open_jobs = [job for job in workflow.jobs if not job.own_permissions]
        if set(workflow.triggers) == {"workflow_call"}:
            open_jobs = []
        if open_jobs and len(open_jobs) == len(workflow.jobs):
            detail = "no permissions are set, so the default of the repository or organization applies"
            yield _excess(1, None, detail, unset)
        else:
            for job in open_jobs:
                yield _excess(
                    job.line, job.key, f"job {job.key} sets no permissions, so the default applies", unset
                )
    elif given.get("*"):
        level = given["*"]
        detail = f"permissions: {level}-all for every job"
        yield _excess(workflow.permissions_line, None, detail, "high" if level == "write" else "medium")
    else:
        several = len(workflow.jobs) > 1
        for scope, level in given.items():
            if level != "write":
                continue
            severity: Severity = "low"  # with a single job, it only matters for jobs added later
            if several:
                severity = "high" if scope in _SENSITIVE else "medium"
            detail = f"{scope}: write is granted to " + (
                "every job of the workflow" if several else "the workflow instead of its job"
            )
            yield _excess(
                workflow.permission_lines.get(scope, workflow.permissions_line), None, detail, severity
            )
    for job in workflow.jobs:
        if job.own_permissions and job.permissions and job.permissions.get("*"):
            level = job.permissions["*"]
            key = job.node.key("permissions")
            detail = f"permissions: {level}-all in job {job.key}"
            yield _excess(
                key.line if key else job.line, job.key, detail, "high" if level == "write" else "medium"
            )


def _excess(line: int, job: str | None, detail: str, severity: Severity) -> Problem:
    return Problem(
        code="excessive-permissions", line=line, job=job, detail=detail, severity=severity,
        fix="Set `permissions: {}` for the workflow and give each job the scopes it needs.",
    )  # fmt: skip
