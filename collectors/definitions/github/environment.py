"""Writes to GITHUB_ENV and GITHUB_PATH in GitHub workflows, which set variables of the next steps.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#setting-an-environment-variable and
https://www.legitsecurity.com/blog/github-privilege-escalation-vulnerability explain how LD_PRELOAD or BASH_ENV can be
set.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.definition import Problem
from collectors.definitions.github.conditions import reached
from collectors.definitions.github.expressions import paths, taint
from collectors.definitions.github.script_outputs import ONE_LINE, RANDOM
from collectors.definitions.github.steps import PRIVILEGED, RawJob, Workflow, WorkflowStep, literals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.github.taint import Taint

_ENV_FILE = re.compile(
    r">>?\s*[\"']?\$\{?(?:env:)?GITHUB_(?:ENV|PATH)\b|GITHUB_(?:ENV|PATH)[\"']?\)?\s*(?:-Append)?|tee\s+(?:-a\s+)?[\"']?\$\{?GITHUB_(?:ENV|PATH)"
)
_OTHER_FILE = re.compile(r">>?\s*[\"']?\$\{?GITHUB_(?:OUTPUT|STEP_SUMMARY)")
_COMMAND = re.compile(r"::(?:set-env\s+name=\w+|add-path)::")
_FIXED_TEXT = re.compile(
    r"\s*(?:(?:echo|printf)\s|cat\s*<<)[^$`%]*>>?\s*[\"']?[$%][{(]?(?:env:)?GITHUB_(?:ENV|PATH)[})%]?[\"']?\s*"
)
"""A line that writes only literal text."""
_JOINED = re.compile(r"&&|\|\||;")
_EXPRESSION = re.compile(r"\$\{\{[^}]*\}\}")
_OWN = re.compile(
    r"\$\{?(?:env:)?(?:GITHUB_(?:SHA|RUN_\w+|REPOSITORY\w*|WORKSPACE|SERVER_URL|API_URL|JOB|EVENT_NAME|ACTION\w*)|RUNNER_\w+|HOME|PWD|PATH|RANDOM|HOSTNAME|USER)\b[^}\s\"']*\}?|"
    r"\$\((?:date|pwd|nproc|uname|whoami|hostname|mktemp|go\s+env|which|command\s+-v|git\s+rev-parse|brew\s+--prefix|npm\s+config\s+get|yarn\s+cache\s+dir)\b[^()`$|;&]*\)|"
    r"`(?:date|pwd|nproc|uname|hostname|git\s+rev-parse)\b[^`$|;&]*`"
)
"""Variables and commands about the runner, the run or the commit, which contain nothing that users wrote."""
_MARKED = re.compile(r"<<[\"']?\$[{(]?\w")
_ASSIGNED = re.compile(r"^\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)=(?P<value>[^\n]*)$")


def environment_files(
    workflow: Workflow, job: RawJob, step: WorkflowStep, taint_of: Taint
) -> Iterator[Problem]:
    """Yield the first write to the environment that may contain untrusted text, preferring one that certainly does."""
    privileged = bool(PRIVILEGED & set(workflow.triggers))
    if step.run is None or not (workflow.composite or privileged or "pull_request" in workflow.triggers):
        return
    script = step.run.text
    if not _ENV_FILE.search(script) and not _COMMAND.search(script):
        return
    if privileged and not reached(workflow, job, step):
        return
    start = step.run.line + (1 if step.run.style in {"|", ">"} else 0)
    sure = [
        line
        for line, level in taint_of.written(job, step).lines.items()
        if level in {"high", "critical"} or (privileged and level != "info") or workflow.composite
    ]
    unsure = (
        list(_unknown(script, literals(workflow.env, job.env, step.env)))
        if privileged or workflow.composite
        else []
    )
    if not sure and not unsure:
        return
    where = (
        "in every workflow that uses this action"
        if workflow.composite
        else "in a run that outsiders can trigger"
    )
    where += (
        ""
        if privileged or workflow.composite
        else " (without secrets or write access for pull requests from forks)"
    )
    message = (
        "writes untrusted text to GITHUB_ENV or GITHUB_PATH"
        if sure
        else "writes to GITHUB_ENV or GITHUB_PATH"
    )
    yield Problem(
        code="github-env", line=start + (sure or unsure)[0], job=job.key,
        severity="medium" if workflow.composite else ("high" if privileged else "low"),
        detail=f"{message} {where}, so untrusted input can set environment variables",
        fix="Use GITHUB_OUTPUT for untrusted text, and never write it to GITHUB_ENV or GITHUB_PATH.",
    )  # fmt: skip


def _unknown(script: str, env: dict[str, str]) -> Iterator[int]:
    """Yield the lines (from 0) that write text that is not literal."""
    known = {name for name, value in env.items() if "$" not in _blanked(value, set())}
    for number, line in enumerate(script.split("\n")):
        assigned = _ASSIGNED.match(line)
        if assigned is not None and ONE_LINE.search(line):
            known.add(assigned["name"])
        elif assigned is not None:
            (known.add if "$" not in _blanked(assigned["value"], known) else known.discard)(assigned["name"])
        if not _ENV_FILE.search(line) or _OTHER_FILE.search(line):
            continue
        if "GITHUB_PATH" not in line and (ONE_LINE.search(line) or (line.lstrip().startswith("}") and _MARKED.search(script) and RANDOM.search(script))):  # fmt: skip
            continue
        writes = [part for part in _JOINED.split(line) if _ENV_FILE.search(part)]
        if not all(_FIXED_TEXT.fullmatch(_blanked(part, known)) for part in writes or [line]):
            yield number


def _blanked(line: str, known: set[str]) -> str:
    """Return a line without the parts known to be harmless."""

    def variable(match: re.Match[str]) -> str:
        return "" if match["name"] in known else match.group()

    shown = _OWN.sub("", _EXPRESSION.sub(_blank_if_safe, line))
    return re.sub(r"\$\{?(?:env:)?(?P<name>[A-Za-z_]\w*)\}?", variable, shown)


def _blank_if_safe(match: re.Match[str]) -> str:
    read = [path for path, _ in paths(match.group()[3:-2])]
    return "" if read and all(taint(path) == "none" for path in read) else match.group()
