"""Agents in GitHub workflows whose prompt strangers can write, with what the agent may do.

https://github.com/anthropics/claude-code-action/blob/main/docs/security.md,
https://github.com/openai/codex-action#security, https://github.com/google-github-actions/run-gemini-cli.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from collectors.definitions.definition import Problem
from collectors.definitions.github.conditions import reached
from collectors.definitions.github.steps import (
    PRIVILEGED,
    RawJob,
    Workflow,
    WorkflowStep,
    literals,
    secret_names,
)
from collectors.definitions.yaml_nodes import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.github.taint import Taint
    from scanner.records import Severity


class _Agent(NamedTuple):
    """One action that runs an agent. State of 2026-11."""

    checks_starter: bool
    """Whether it refuses users without write access by itself."""
    anyone: tuple[str, ...]
    """Inputs that let others start it: ``*`` for anyone."""
    prompts: tuple[str, ...]


_AGENTS = {
    "anthropics/claude-code-action": _Agent(True, ("allowed_non_write_users", "allowed_bots"), ("prompt", "direct_prompt", "custom_instructions", "override_prompt", "claude_args")),
    "anthropics/claude-code-base-action": _Agent(False, (), ("prompt", "prompt_file", "claude_args", "append_system_prompt")),
    "openai/codex-action": _Agent(True, ("allow-users", "allow-bots"), ("prompt", "prompt-file", "codex-args")),
    "google-github-actions/run-gemini-cli": _Agent(False, (), ("prompt", "settings")),
    "google-gemini/gemini-cli-action": _Agent(False, (), ("prompt", "settings")),
}  # fmt: skip
_COMMAND = re.compile(
    r"(?m)(?:^|[;&|])[ \t]*(?:npx[ \t]+(?:-y[ \t]+)?)?(?:claude\s+(?:-p|--print)|codex\s+exec|gemini\s+(?:-p|--prompt|--yolo)|aider\s+[^\n]{0,200}--message|copilot\s+-p|cursor-agent\s+(?:-p|--print))"
)
_WITHOUT_LIMIT = re.compile(
    r"--yolo|--dangerously-[\w-]+|--full-auto|--allow-all-tools|danger-full-access|--allowed-?[tT]ools[= ]+[\"']?[^\"'\n]{0,300}\bBash(?:\(\*\))?(?:[,\s\"']|$)"
)


def agents_fed_by_strangers(
    workflow: Workflow, job: RawJob, step: WorkflowStep, taint_of: Taint
) -> Iterator[Problem]:
    """Yield the steps that give text of strangers to an agent."""
    if not PRIVILEGED & workflow.triggers.keys():
        return
    agent = _AGENTS.get(step.action)
    script = step.run.text[:50_000] if step.run is not None else ""
    if agent is None and not _COMMAND.search(script):
        return
    events = reached(workflow, job, step)
    open_events = [event for event, gates in events.items() if not gates]
    if not open_events:
        return
    env = literals(workflow.env, job.env, step.env)
    shown = [
        value.text for name in (agent.prompts if agent else ()) if (value := step.input(name)) is not None
    ]
    texts = [*shown, script, *(value for name, value in env.items() if agent or name in script)]
    fed = any(taint_of.text(job, env, one, step) == "high" for one in texts if "${{" in one)
    # In these events an action without a prompt of its own reads the thread itself.
    reads_thread = (
        agent is not None and step.input("prompt", "direct_prompt", "prompt_file", "prompt-file") is None
    )
    if not fed and not reads_thread:
        return
    anyone = [name for name in (agent.anyone if agent else ()) if "*" in (text(step.input(name)) or "")]
    checked = agent is not None and agent.checks_starter and not anyone
    held = [name for name in secret_names(workflow.env, job.node, step.node) if name != "GITHUB_TOKEN"]
    writes = job.permissions is None or any(level == "write" for level in job.permissions.values())
    unlimited = _WITHOUT_LIMIT.search(" ".join([*shown, script])) is not None or step.action.startswith(
        "google-"
    )
    severity: Severity = "medium"
    if checked:
        severity = "low"
    elif writes or unlimited:
        severity = "critical" if writes and unlimited else "high"
    who = (
        "its action lets only users with write access start it"
        if checked
        else f"{anyone[0]} lets anyone start it"
        if anyone
        else "nothing checks who starts it"
    )
    has = ("a writable token" if writes else "a read-only token") + (", secrets" if held else "")
    yield Problem(
        code="agent-prompt-from-strangers", line=step.line, job=job.key, severity=severity,
        detail=f"under {', '.join(open_events)} an agent reads what outsiders write, with {has}"
        f"{' and without a limit on its tools' if unlimited else ''}; {who}",
        fix="Let only trusted people start it, give its job a read-only token, and allow it only the tools that it needs.",
    )  # fmt: skip
