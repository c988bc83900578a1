"""Caches of a GitHub workflow that untrusted users can fill for a trusted run.

A run reads the caches of its own branch and of the default branch: https://docs.github.com/en/actions/reference/workflows-and-actions/dependency-caching#restrictions-for-accessing-a-cache.
Runs of pull_request_target, issue_comment and workflow_run belong to the default branch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.definitions.definition import Problem
from collectors.definitions.github.checkouts import fetches_untrusted_files
from collectors.definitions.github.conditions import reached
from collectors.definitions.github.steps import RawJob, Workflow, WorkflowStep, literals
from collectors.definitions.yaml_nodes import boolean, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.github.taint import Taint

_CACHING = {
    "actions/cache": None,
    "actions/cache/restore": None,
    "swatinem/rust-cache": None,
    "actions/setup-node": "cache",
    "actions/setup-python": "cache",
    "actions/setup-java": "cache",
    "actions/setup-dotnet": "cache",
    "ruby/setup-ruby": "bundler-cache",
    "gradle/actions/setup-gradle": None,
    "gradle/gradle-build-action": None,
    "mozilla-actions/sccache-action": None,
    "hynek/build-and-inspect-python-package": None,
    "nix-community/cache-nix-action": None,
    "determinatesystems/magic-nix-cache-action": None,
    "actions/setup-go": "+cache",
    "astral-sh/setup-uv": "+enable-cache",
    "prefix-dev/setup-pixi": "+cache",
    "golangci/golangci-lint-action": "-skip-cache",
}
"""Action to the input that enables its cache; None: always; ``+``: enabled unless false; ``-``: disabled if true."""

_PLACES = ("key", "restore-keys", "path")


def poisoned_caches(workflow: Workflow, job: RawJob, taint_of: Taint) -> Iterator[Problem]:
    """Yield caches that other runs fill for a release, and caches that untrusted users fill for the default branch."""
    if workflow.composite or not any(_caches(step) for step in job.steps):
        return
    released = "release" in workflow.triggers or any(
        ref.startswith(("refs/tags/", "refs/heads/release")) for ref in workflow.triggers.get("push", [])
    )
    released = released or any(_publishes(step) for step in job.steps)
    open_events = [event for event, gates in reached(workflow, job).items() if not gates]
    foreign = False
    for step in job.steps:
        if open_events and not foreign:
            foreign = fetches_untrusted_files(workflow, job, step)
        if not _caches(step):
            continue
        if open_events and (foreign or _named_by_untrusted_users(workflow, job, step, taint_of)):
            yield Problem(
                code="cache-poisoning", line=step.line, job=job.key, severity="medium",
                detail=f"under {', '.join(open_events)} outsiders can write the cache of {step.uses}, which the default branch restores",
                fix="Do not use a cache in privileged runs that outsiders can trigger.",
            )  # fmt: skip
        elif released:
            yield Problem(
                code="cache-poisoning", line=step.line, job=job.key, severity="low",
                detail=f"{step.uses} restores a cache that other branches can write into a release build",
                fix="Build releases without a cache.",
            )  # fmt: skip


def _named_by_untrusted_users(workflow: Workflow, job: RawJob, step: WorkflowStep, taint_of: Taint) -> bool:
    env = literals(workflow.env, job.env, step.env)
    values = [value.text for name in _PLACES if (value := step.input(name)) is not None]
    return any(taint_of.text(job, env, value, step) == "high" for value in values)


_PUBLISHERS = frozenset(
    ("pypa/gh-action-pypi-publish", "rubygems/release-gem", "js-devtools/npm-publish", "softprops/action-gh-release",
     "goreleaser/goreleaser-action", "ncipollo/release-action", "svenstaro/upload-release-action", "katyo/publish-crates")
)  # fmt: skip


def _publishes(step: WorkflowStep) -> bool:
    if step.action == "docker/build-push-action":
        return boolean(step.input("push")) is True
    return step.action in _PUBLISHERS


def _caches(step: WorkflowStep) -> bool:
    if step.action not in _CACHING:
        return False
    name = _CACHING[step.action]
    if name is None:
        return (text(step.input("lookup-only")) or "").lower() != "true"
    value = (text(step.input(name.lstrip("+-"))) or "").lower()
    if name.startswith("+"):
        return value != "false"
    return value != "true" if name.startswith("-") else value not in {"", "false"}
