"""What of a stranger's a GitHub workflow fetches, and what its checkouts leave behind.

Background: https://securitylab.github.com/resources/github-actions-preventing-pwn-requests/,
https://github.com/actions/checkout#usage.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.ci_files.definition import Problem, Severity
from collectors.ci_files.expressions import dotted
from collectors.ci_files.github_steps import (
    PRIVILEGED,
    RawJob,
    Step,
    Workflow,
    expand,
    listed,
    literals,
    secret_names,
)
from collectors.ci_files.yaml_nodes import boolean, text

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = re.compile(
    r"github\.head_ref|github\.event\.pull_request\.(?:head\.(?:sha|ref|label|repo)|merge_commit_sha|number)|"
    r"github\.event\.workflow_run\.(?:head_(?:sha|branch|commit|repository)|pull_requests)|github\.event\.(?:issue\.)?number|"
    r"github\.event\.issue\.number|github\.event\.(?:check_suite|check_run|review|comment)\."
)
_HEAD_OUTPUT = re.compile(
    r"(?i)(?:steps|needs)\.[\w.-]*(?:head|sha|ref|branch|commit|pull|pr[_-]?|merge)[\w-]*"
)
_HEAD_REF = re.compile(r"refs/(?:remotes/)?pull/|pull/[^\s]*/(?:head|merge)")
_GIT = re.compile(
    r"\bgit\s+(?:-C\s+\S+\s+)?(?:checkout|fetch|pull|clone|merge|switch|reset|worktree|rebase|cherry-pick)\b"
)
_GH_CHECKOUT = re.compile(r"\bgh\s+pr\s+checkout\b|\bhub\s+pr\s+checkout\b")


def checkouts(workflow: Workflow, job: RawJob) -> Iterator[Problem]:
    """Yield the steps that fetch a stranger's code in a run with rights."""
    events = sorted(PRIVILEGED & set(workflow.triggers))
    if not events:
        return
    for at, step in enumerate(job.steps):
        env = literals(workflow.env, job.env, step.env)
        what = _takes_head(step, env, job)
        if what is None:
            continue
        later = [after for after in job.steps[at + 1 :] if after.run is not None or after.uses]
        runs = any(after.run is not None or (after.uses or "").startswith("./") for after in later)
        if step.run is not None:
            runs = runs or bool(
                re.search(
                    r"\b(?:make|npm|yarn|pnpm|pip|tox|pytest|cargo|go|gradlew|mvn|bash|sh|python)\b",
                    step.run.text,
                )
            )
        secrets = [name for name in secret_names(workflow.env, job.node) if name != "GITHUB_TOKEN"]
        writes = job.permissions is None or any(level == "write" for level in job.permissions.values())
        severity: Severity = "critical" if runs and (secrets or writes) else "high"
        reach = listed(secrets) if secrets else ("a writable token" if writes else "a read-only token")
        yield Problem(
            code="untrusted-checkout", line=step.line, job=job.key, severity=severity,
            detail=f"under {', '.join(events)} it checks out {what}" + (f" and runs code with {reach}" if runs else f" beside {reach}"),
            fix="Build strangers' code under pull_request, without secrets; pass results on as data.",
        )  # fmt: skip


def _takes_head(step: Step, env: dict[str, str], job: RawJob) -> str | None:
    """Tell what of a stranger's a step fetches; None if nothing."""
    if step.action == "actions/checkout":
        for name in ("ref", "repository"):
            value = step.input(name)
            for made in expand(value.text, env, job.matrix) if value else []:
                if "${{" not in made and not _HEAD_REF.search(made):
                    continue
                named = dotted(made)
                if _HEAD.search(named.lower()) or _HEAD_REF.search(made) or _HEAD_OUTPUT.search(named):
                    return "the head of a pull request"
        return None
    if step.run is None:
        return None
    script = step.run.text
    if _GH_CHECKOUT.search(script):
        return "a pull request with gh"
    if not _GIT.search(script):
        return None
    heads = [re.escape(name) for name, value in env.items() if _HEAD.search(dotted(value).lower())]
    held = re.compile(rf"\$\{{?(?:{'|'.join(heads)})\b") if heads else None
    for line in script.split("\n"):
        if not _GIT.search(line):
            continue
        tainted = held is not None and held.search(line)
        if tainted or _HEAD_REF.search(line) or ("${{" in line and _HEAD.search(dotted(line).lower())):
            return "the head of a pull request with git"
    return None


def kept_tokens(job: RawJob, step: Step, uploads: bool) -> Iterator[Problem]:
    """Yield a checkout that leaves the job's token on disk."""
    if step.action != "actions/checkout":
        return
    value = step.input("persist-credentials")
    if value is not None and boolean(value) is False:
        return
    yield Problem(
        code="artipacked", line=step.line, job=job.key, severity="medium" if uploads else "low",
        detail="the checkout leaves the job's token in .git/config" + (", and the job uploads artifacts" if uploads else ""),
        fix="Set `persist-credentials: false` on the checkout.",
    )  # fmt: skip


def foreign_artifacts(workflow: Workflow, job: RawJob, step: Step) -> Iterator[Problem]:
    """Yield a step that takes another run's artifact into a run with rights."""
    if not {"workflow_run", "pull_request_target", "issue_comment"} & set(workflow.triggers):
        return
    foreign = step.action in {
        "dawidd6/action-download-artifact",
        "aochmann/actions-download-artifact",
        "bettermarks/action-artifact-download",
        "levonet/action-download-last-artifact",
        "ishworkh/docker-image-artifact-download",
        "ishworkh/container-image-artifact-download",
        "marcofaggian/action-download-multiple-artifacts",
        "blablacar/action-download-last-artifact",
        "actions/github-script-download",
    }
    if step.action == "actions/download-artifact":
        foreign = step.input("run-id") is not None
    elif step.action == "actions/github-script":
        foreign = "downloadArtifact" in (text(step.input("script")) or "")
    elif step.run is not None:
        foreign = bool(re.search(r"\bgh\s+run\s+download\b|/actions/artifacts/[^\s]*zip", step.run.text))
    if foreign:
        yield Problem(
            code="artifact-poisoning", line=step.line, job=job.key, severity="medium",
            detail="takes an artifact of another run, which a pull request may have made, into a run with rights",
            fix="Unpack it into a folder of its own, treat it as data, and check what it holds.",
        )  # fmt: skip
