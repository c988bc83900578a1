"""Text of strangers that a script receives safely, in a variable, and then runs or hands over as options.

https://codeql.github.com/codeql-query-help/actions/actions-command-injection-critical/ and
https://codeql.github.com/codeql-query-help/actions/actions-argument-injection-critical/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.definition import Problem
from collectors.definitions.github.conditions import reached
from collectors.definitions.github.steps import PRIVILEGED, RawJob, Workflow, WorkflowStep, literals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.github.taint import Taint
    from scanner.records import Severity

_MOST_LINES = 5_000
_RUN = r"\beval\b|\b(?:ba|z|da|k)?sh\s+-\w{0,4}c\b|\bpython[\d.]{0,4}\s+-c\b|\bnode\s+(?:-e|--eval)\b|\b(?:perl|ruby)\s+-e\b|\b(?:Invoke-Expression|iex)\b"
_PIPED = r"\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b"
_CONTROLLED = r"\b(?:sed|awk|gawk)\b"
"""Programs whose text is a program that can run commands: ``s/x/y/e`` of sed, ``system()`` of awk."""
_OPTIONS = r"\b(?:git|tar|find|curl|wget|rsync|zip|ssh|scp|psql|docker|npm|pip3?|man)\b"
"""Programs with an option that runs a command or writes a file; an unquoted variable can add one."""
_CHECKED = r"\[\[\s*!?\s*\"?\$\{?NAME\}?\"?\s*=~\s*\^|\bgrep\s+-\w*[EP]?q\w*\s+[\"']?\^"


def commands_from_strangers(
    workflow: Workflow, job: RawJob, step: WorkflowStep, taint_of: Taint
) -> Iterator[Problem]:
    """Yield the lines of a script that run text of strangers, or pass it on where it may become an option."""
    if (
        step.run is None
        or "$" not in step.run.text
        or not (PRIVILEGED | {"pull_request"}) & workflow.triggers.keys()
    ):
        return
    env = literals(workflow.env, job.env, step.env)
    names = [
        name
        for name, value in env.items()
        if "${{" in value and taint_of.text(job, env, value, step) == "high"
    ]
    if not names:
        return
    privileged = bool(PRIVILEGED & set(workflow.triggers))
    if privileged and "pull_request" not in workflow.triggers and all(reached(workflow, job, step).values()):
        return
    start = step.run.line + (1 if step.run.style in {"|", ">"} else 0)
    script = step.run.text
    for name in names:
        if re.search(_CHECKED.replace("NAME", re.escape(name)), script):
            continue  # its form is checked before
        read = rf"\$(?:\{{{re.escape(name)}\b[^}}\n]{{0,80}}\}}|{re.escape(name)}\b)"
        runs = re.compile(rf"(?:{_RUN})[^\n]{{0,300}}{read}|{read}[^\n]{{0,300}}{_PIPED}")
        controls = re.compile(rf"{_CONTROLLED}[^\n|;&]{{0,300}}{read}")
        options = re.compile(rf"{_OPTIONS}(?:[^\n|;&\"']|\"[^\"\n]*\"|'[^'\n]*'){{0,200}}?\s{read}")
        for number, line in enumerate(script.split("\n")[:_MOST_LINES]):
            if f"${name}" not in line and f"${{{name}" not in line:
                continue
            if runs.search(line):
                yield _problem(start + number, job, name, "high" if privileged else "medium", runs=True)
            elif controls.search(line) or options.search(line):
                yield _problem(start + number, job, name, "medium" if privileged else "low", runs=False)


def _problem(line: int, job: RawJob, name: str, severity: Severity, *, runs: bool) -> Problem:
    if runs:
        return Problem(
            code="command-injection", line=line, job=job.key, severity=severity,
            detail=f"runs the text in ${name}, which outsiders write",
            fix="Do not run it: compare it with the values that are allowed.",
        )  # fmt: skip
    return Problem(
        code="argument-injection", line=line, job=job.key, severity=severity,
        detail=f"passes ${name}, which outsiders write, to a program where it can become an option or a command",
        fix="Quote the variable, put `--` before it, and check its form first.",
    )  # fmt: skip
