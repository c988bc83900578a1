"""Commands in comments (ChatOps) that start actions of a GitHub workflow, and whether the author is checked.

``issue_comment`` starts a run with the repository's rights for a comment by anyone:
https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#issue_comment.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.definition import Problem
from collectors.definitions.github.conditions import reached
from collectors.definitions.github.expressions import dotted
from collectors.definitions.github.steps import RawJob, Workflow, secret_names
from collectors.definitions.yaml_nodes import Scalar

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMMENTS = ("issue_comment", "discussion_comment", "pull_request_review_comment", "pull_request_review")
_COMMAND = re.compile(
    r"(?i)(?:contains|startsWith|endsWith)\(\s*github\.event\.(?:comment|review)\.body|github\.event\.(?:comment|review)\.body\s*=="
)


def unchecked_commands(workflow: Workflow, job: RawJob) -> Iterator[Problem]:
    """Yield jobs that react to a command in a comment without checking its author."""
    events = [event for event in _COMMENTS if event in workflow.triggers]
    if not events or not (job.steps or job.calls):
        return
    at = next(
        (node for node in _conditions(job) if "body" in node.text and _COMMAND.search(dotted(node.text))),
        None,
    )
    if at is None:
        return
    open_events = [event for event, gates in reached(workflow, job).items() if event in events and not gates]
    stepwise = [step for step in job.steps if step.condition is not None and reached(workflow, job, step).get(open_events[0] if open_events else "")]  # fmt: skip
    if not open_events or stepwise:
        return
    secrets = [name for name in secret_names(workflow.env, job.node) if name != "GITHUB_TOKEN"]
    writes = job.permissions is None or any(level == "write" for level in job.permissions.values())
    if not secrets and not writes:
        return
    yield Problem(
        code="unchecked-commenter", line=at.line, job=job.key, severity="medium",
        detail=f"job {job.key} runs a command from a comment by anyone, with {'secrets' if secrets else 'a writable token'}",
        fix="Require github.event.comment.author_association to be OWNER, MEMBER or COLLABORATOR in the condition.",
    )  # fmt: skip


def _conditions(job: RawJob) -> Iterator[Scalar]:
    own = job.node.get("if")
    if isinstance(own, Scalar):
        yield own
    for step in job.steps:
        if step.condition is not None:
            yield step.condition
