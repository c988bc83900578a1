"""Untrusted code and artifacts that a GitHub workflow fetches, and credentials that its checkouts leave on disk.

Background: https://securitylab.github.com/resources/github-actions-preventing-pwn-requests/,
https://github.com/actions/checkout#usage.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.definition import Problem
from collectors.definitions.github.checkout_guard import EVENTS, is_guarded
from collectors.definitions.github.conditions import is_mutable, reached
from collectors.definitions.github.expressions import dotted
from collectors.definitions.github.steps import (
    OWN_PREFIXES,
    PRIVILEGED,
    Guard,
    RawJob,
    Workflow,
    WorkflowStep,
    expand,
    listed,
    literals,
    secret_names,
)
from collectors.definitions.shell.code_execution import runs_local_code
from collectors.definitions.yaml_nodes import Scalar, boolean, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scanner.records import Severity

_HEAD = re.compile(
    r"github\.head_ref|github\.event\.pull_request\.(?:head\.(?:sha|ref|label|repo)|merge_commit_sha|number)|"
    r"github\.event\.workflow_run\.(?:head_(?:sha|branch|commit|repository)|head\.|number|pull_requests)|github\.event\.(?:issue\.)?number|"
    r"github\.event\.issue\.(?:number|pull_request)|github\.event\.(?:check_suite|check_run|review|comment)\."
)
_HEAD_OUTPUT = re.compile(
    r"(?i)(?:steps|needs)\.[\w.-]{0,200}(?:head|sha|ref|branch|commit|pull|pr[_-]?|merge)[\w-]*|\)\s*\.(?:head[._])?(?:sha|ref|repo|label|branch)\b"
)
_OUTPUT = re.compile(r"(?i)\b(?P<kind>steps|needs)\.(?P<id>[\w-]+)\.outputs\.(?P<name>[\w-]+)")
_MAKES_HEAD = re.compile(
    r"(?i)head\.(?:sha|ref|repo|label)|head_?(?:sha|ref|branch)|headRef(?:Name|Oid)|pulls\.get|/pulls/|gh\s+pr\s+(?:view|list)|pull/|"
    r"pull_request\.url|merge_commit_sha|event\.(?:issue\.)?number"
)
_HEAD_REF = re.compile(r"refs/(?:remotes/)?pull/|pull/[^\s]{0,200}/(?:head|merge)")
_GIT = re.compile(
    r"\bgit\s+(?:-[Cc]\s+\S+\s+){0,4}(?:checkout|fetch|pull|clone|merge|switch|reset|worktree|rebase|cherry-pick|am|apply)\b"
)
_GH_CHECKOUT = re.compile(
    r"\b(?:gh|hub)\s+(?:pr\s+checkout|co)\b|\bgh\s+pr\s+diff\b[^\n]*\|\s*(?:git\s+apply|patch)\b"
)
_FETCHED_HEAD = re.compile(
    r"^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_]\w*)=.*(?:headRefName|headRefOid|\.head\.(?:ref|sha|repo)|head_ref|head_sha|headRepository)", re.MULTILINE
)  # fmt: skip
_RUNNING_ACTIONS = frozenset(
    (
        "actions/jekyll-build-pages", "andresz1/size-limit-action", "bahmutov/npm-install", "changesets/action",
        "chromaui/action", "cypress-io/github-action", "devcontainers/ci", "docker/bake-action", "docker/build-push-action",
        "github/codeql-action/autobuild", "golangci/golangci-lint-action", "goreleaser/goreleaser-action",
        "gradle/gradle-build-action", "helm/chart-testing-action", "hynek/build-and-inspect-python-package",
         "nick-fields/retry", "oxsecurity/megalinter", "pre-commit/action",
        "preactjs/compressed-size-action", "pulumi/actions", "pyo3/maturin-action", "pypa/cibuildwheel", "reviewdog/action-eslint",
        "super-linter/super-linter", "treosh/lighthouse-ci-action", "tox-dev/action-pre-commit-uv", "withastro/action",
    )
)  # fmt: skip
"""Actions that run what the files of the workspace say: build files, plugins and configuration of tools."""
_REQUIRES = re.compile(r"""\b(?:require|import)\(\s*(?:`|['"])(?:\$\{[^}]{1,100}\}/|\.{1,2}/|/)""")
_DOWNLOADERS = frozenset(
    (
        "dawidd6/action-download-artifact",
        "aochmann/actions-download-artifact",
        "bettermarks/action-artifact-download",
        "levonet/action-download-last-artifact",
        "ishworkh/docker-image-artifact-download",
        "ishworkh/container-image-artifact-download",
        "marcofaggian/action-download-multiple-artifacts",
        "blablacar/action-download-last-artifact",
        "redhat-plumbers-in-action/download-artifact",
        "alehechka/download-artifact",
        "marocchino/on_artifact",
    )
)
_DOWNLOADS = re.compile(
    r"\bgh\s+run\s+download\b|/actions/(?:artifacts|runs)/[^\s]*(?:zip|artifacts)|archive_download_url|\bartifacts_url\b"
)


_READS_FILE = re.compile(r"\$\(\s*<|\b(?:cat|head|tail|jq|yq|sed|awk)\s+[^|>\n]*[\w.]|readFileSync")


def runs_code(step: WorkflowStep) -> bool | None:
    """Return whether a step runs something from the job's working directory; None if one of its programs is unknown."""
    if step.run is not None:
        return runs_local_code(step.run.text[:50_000])
    if step.action == "actions/github-script":
        return _REQUIRES.search((text(step.input("script")) or "")[:50_000]) is not None
    if step.action == "ruby/setup-ruby":
        return boolean(step.input("bundler-cache")) is True
    return (step.uses or "").startswith(OWN_PREFIXES) or step.action in _RUNNING_ACTIONS


def checkouts(workflow: Workflow, job: RawJob) -> Iterator[Problem]:
    """Yield the steps that fetch untrusted code in a privileged run."""
    if not PRIVILEGED & set(workflow.triggers):
        yield from _called(workflow, job)
        return
    for at, step in enumerate(job.steps):
        env = literals(workflow.env, job.env, step.env)
        what = _takes_head(workflow, step, env, job)
        if what is None:
            continue
        open_events = {
            event: gates
            for event, gates in reached(workflow, job, step).items()
            if not _is_guarded(step, env, job, event, gates)
        }
        if not open_events:
            continue
        if is_guarded(step, "".join(workflow.lines_from(step_line(step), 1))):
            kept = {event: gates for event, gates in open_events.items() if event not in EVENTS}
            if not kept:
                yield _refused(step, job, open_events)
                continue
            open_events = kept
        gated = all(open_events.values())
        verdicts = [runs_code(after) for after in job.steps[at + (0 if step.run is not None else 1) :]]
        runs = True in verdicts
        may_run = not runs and None in verdicts
        held = secret_names(workflow.env, job.node, *(after.node for after in job.steps))
        secrets = [name for name in held if name != "GITHUB_TOKEN"]
        writes = job.permissions is None or any(level == "write" for level in job.permissions.values())
        severity: Severity = "critical" if runs and not gated and (secrets or writes) else "high"
        reach = listed(secrets) if secrets else ("a writable token" if writes else "a read-only token")
        detail = f"under {', '.join(open_events)} it checks out {what}" + (
            f" and runs code with {reach}"
            if runs
            else f" and may run its code with {reach}"
            if may_run
            else f" in a job with {reach}"
        )
        if gated:
            detail += "; the commit that runs can differ from the approved one, because the branch can change in between"
        yield Problem(
            code="untrusted-checkout", line=step.line, job=job.key, severity=severity, detail=detail,
            fix="Build untrusted code under pull_request, without secrets, and pass the results on as data."
            if not gated else "Check out the approved commit by its SHA.",
        )  # fmt: skip


def step_line(step: WorkflowStep) -> int:
    """Return the line of a step's ``uses:``."""
    key = step.node.key("uses")
    return key.line if key is not None else step.line


def _refused(step: WorkflowStep, job: RawJob, events: Iterable[str]) -> Problem:
    """Return the problem of a checkout that fails for pull requests from forks."""
    return Problem(
        code="untrusted-checkout", line=step.line, job=job.key, severity="info",
        detail=f"under {', '.join(events)} it asks for the head of a pull request, which this release of actions/checkout "
        "refuses for forks: the job fails for them",
        fix="Keep `allow-unsafe-pr-checkout` unset, and build untrusted code under pull_request.",
    )  # fmt: skip


def _is_guarded(
    step: WorkflowStep, env: dict[str, str], job: RawJob, event: str, gates: frozenset[Guard]
) -> bool:
    """Return whether the guards before a checkout exclude untrusted code. A check of the author covers the author's own
    pull request; a label or a comment remains valid while the branch of an untrusted user changes.
    """
    if not gates:
        return False
    if "person" in gates and event not in {"issue_comment", "issues", "discussion", "discussion_comment"}:
        return True
    if step.action != "actions/checkout":
        return "head.sha" in (step.run.text if step.run is not None else "")
    ref = step.input("ref")
    shown = " ".join(expand(ref.text, env, job.matrix)) if ref is not None else "head.ref"
    return not is_mutable(dotted(shown), event)


def _called(workflow: Workflow, job: RawJob) -> Iterator[Problem]:
    """Yield checkouts of a pull request's head in reusable workflows, which run with the caller's rights."""
    if not workflow.composite and "workflow_call" not in workflow.triggers:
        return
    for at, step in enumerate(job.steps):
        env = literals(workflow.env, job.env, step.env)
        if _takes_head(workflow, step, env, job) is None:
            continue
        runs = any(runs_code(after) for after in job.steps[at + 1 :])
        yield Problem(
            code="untrusted-checkout", line=step.line, job=job.key, severity="medium" if runs else "low",
            detail="checks out the head of a pull request" + (" and runs its code" if runs else "")
            + " with the caller's permissions: untrusted code if the caller runs on pull_request_target",
            fix="Call it from workflows that run on pull_request only.",
        )  # fmt: skip


def _takes_head(workflow: Workflow, step: WorkflowStep, env: dict[str, str], job: RawJob) -> str | None:
    """Return the untrusted code that a step fetches; None if nothing."""
    if step.action == "actions/checkout":
        for name in ("ref", "repository"):
            value = step.input(name)
            for made in expand(value.text, env, job.matrix) if value else []:
                if "${{" not in made and not _HEAD_REF.search(made):
                    continue
                if names_head(workflow, job, made):
                    return "the head of a pull request"
        return None
    if step.run is None:
        return None
    script = step.run.text
    if _GH_CHECKOUT.search(script):
        return "a pull request with gh"
    if not _GIT.search(script):
        return None
    heads = [name for name, value in env.items() if _HEAD.search(dotted(value).lower()) or ("${{" in value and _is_head_output(workflow, job, dotted(value)))]  # fmt: skip
    heads += [match["name"] for match in _FETCHED_HEAD.finditer(script[:50_000])]
    held = re.compile(rf"\$\{{?(?:{'|'.join(map(re.escape, heads))})\b") if heads else None
    for line in script.split("\n"):
        if not _GIT.search(line):
            continue
        tainted = held is not None and held.search(line)
        named = dotted(line)
        if (
            tainted
            or _HEAD_REF.search(line)
            or ("${{" in line and (_HEAD.search(named.lower()) or _is_head_output(workflow, job, named)))
        ):
            return "the head of a pull request with git"
    return None


def names_head(workflow: Workflow, job: RawJob, value: str) -> bool:
    """Return whether a text with expressions names the head of a pull request."""
    named = dotted(value)
    return (
        _HEAD.search(named.lower()) is not None
        or _HEAD_REF.search(value) is not None
        or _is_head_output(workflow, job, named)
    )


def _is_head_output(workflow: Workflow, job: RawJob, text_: str, depth: int = 0) -> bool:
    """Return whether a text reads an output that refers to a pull request's head, by the step that sets it or else by
    its name.
    """
    for match in _OUTPUT.finditer(text_):
        maker = None
        if match["kind"].lower() == "needs":
            needed = next((other for other in workflow.jobs if other.key == match["id"]), None)
            made = (
                text(mapping(needed.node.get("outputs")).get(match["name"])) if needed is not None else None
            )
            if needed is not None and made is not None and depth < 5:
                if _HEAD.search(dotted(made).lower()) or _is_head_output(
                    workflow, needed, dotted(made), depth + 1
                ):
                    return True
                continue
        else:
            maker = next((step for step in job.steps if text(step.node.get("id")) == match["id"]), None)
            if maker is not None and maker.outputs is not None and depth < 5:
                made = dotted(maker.outputs.get(match["name"], ""))
                if _HEAD.search(made.lower()) or _is_head_output(workflow, job, made, depth + 1):
                    return True
                continue
        script = _script(maker) if maker is not None else None
        if script is not None:
            shown = dotted(script.text[:50_000])
            if _MAKES_HEAD.search(shown):
                return True
            if _READS_FILE.search(shown) and any(_fetches_artifact(other) for other in job.steps):
                return True  # a file in an artifact names the ref to check out
        elif _HEAD_OUTPUT.search(text_):
            return True
    return False


def _script(step: WorkflowStep) -> Scalar | None:
    return step.input("script") if step.action == "actions/github-script" else step.run


def persisted_tokens(job: RawJob, step: WorkflowStep, uploads: bool) -> Iterator[Problem]:
    """Yield a checkout that leaves the job's token on disk."""
    if step.action != "actions/checkout":
        return
    value = step.input("persist-credentials")
    if value is not None and boolean(value) is False:
        return
    yield Problem(
        code="artipacked", line=step.line, job=job.key, severity="medium" if uploads else "low",
        detail=f"the checkout leaves the job's token {_place_of_token(step)}" + (", and the job uploads artifacts" if uploads else ""),
        fix="Set `persist-credentials: false` on the checkout.",
    )  # fmt: skip


def _place_of_token(step: WorkflowStep) -> str:
    """Return where a release keeps the token: since v6 outside the work tree, in a file that .git/config includes.

    https://github.com/actions/checkout/releases/tag/v6.0.0
    """
    major = re.match(r"v?(\d{1,3})(?![\w-])", step.ref or "")
    if major is not None and int(major.group(1)) >= 6:
        return "in a file that .git/config includes, where later steps can read it"
    return "in .git/config"


def untrusted_artifacts(workflow: Workflow, job: RawJob, step: WorkflowStep) -> Iterator[Problem]:
    """Yield steps that use another run's artifact, or one built from untrusted code, in a privileged run."""
    if not {"workflow_run", "pull_request_target", "issue_comment"} & set(workflow.triggers):
        return
    if not _downloads(workflow, job, step) or not reached(workflow, job, step):
        return
    later = job.steps[job.steps.index(step) + 1 :]
    apart = _APART.match((text(step.input("path")) or "").strip())
    if apart is not None and not any(_runs_from(after, apart) for after in later):
        return
    running = next((after for after in [step, *later] if runs_code(after)), None)
    fix = "Extract it into a separate folder, treat it as data and validate its contents."
    yield Problem(
        code="artifact-poisoning", line=step.line, job=job.key, severity="medium" if running is None else "high",
        detail="downloads an artifact of another run, possibly built by a pull request, into a privileged run", fix=fix,
    )  # fmt: skip
    if running is not None and running is not step:
        yield Problem(
            code="artifact-poisoning", line=running.line, job=job.key, severity="high", fix=fix,
            detail="runs code that may come from an artifact of another run, possibly built by a pull request",
        )  # fmt: skip


_APART = re.compile(r"(?:\$\{\{\s*runner\.temp\s*\}\}|/tmp|/var/tmp|\$RUNNER_TEMP)(?:/[\w./-]*)?")
"""A directory outside the checkout, where an artifact overwrites nothing."""


def _runs_from(step: WorkflowStep, folder: re.Match[str]) -> bool:
    """Return whether a step runs something from a directory."""
    script = step.run.text[:50_000] if step.run is not None else ""
    last = folder.group().rstrip("/").rsplit("/", 1)[-1]
    return re.search(rf"(?:^|[\s;&|])(?:(?:ba|z)?sh|python3?|node|chmod|source|\.)\s+[^\n]*{re.escape(last)}|^[ \t]*[\"']?[^\s\"']*{re.escape(last)}/\S", script, re.MULTILINE) is not None  # fmt: skip


def _downloads(workflow: Workflow, job: RawJob, step: WorkflowStep) -> bool:
    return _fetches_artifact(step) or (
        step.action == "actions/download-artifact" and _built_from_head(workflow, job)
    )


def _fetches_artifact(step: WorkflowStep) -> bool:
    """Return whether a step fetches an artifact of another run."""
    if step.action in _DOWNLOADERS:
        return True
    if step.action == "actions/download-artifact":
        return step.input("run-id") is not None
    if step.action == "actions/github-script":
        return "downloadArtifact" in (text(step.input("script")) or "")
    script = step.run.text[:50_000] if step.run is not None else ""
    return _DOWNLOADS.search(script) is not None and re.search(r"\b(?:gh|curl|wget)\b", script) is not None


def _built_from_head(workflow: Workflow, job: RawJob) -> bool:
    """Return whether another job of the run builds an artifact from untrusted code."""
    for other in workflow.jobs:
        if other.key == job.key or not any(step.action == "actions/upload-artifact" for step in other.steps):
            continue
        for step in other.steps:
            env = literals(workflow.env, other.env, step.env)
            if _takes_head(workflow, step, env, other) is not None and reached(workflow, other, step):
                return True
    return False


def fetches_untrusted_files(workflow: Workflow, job: RawJob, step: WorkflowStep) -> bool:
    """Return whether a step puts untrusted files into the job's working directory."""
    return _downloads(workflow, job, step) or (
        _takes_head(workflow, step, literals(workflow.env, job.env, step.env), job) is not None
    )
