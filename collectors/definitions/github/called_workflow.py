"""A reusable workflow as one caller runs it: with its inputs, secrets, events and conditions.

https://docs.github.com/en/actions/how-tos/reuse-automations/reuse-workflows: the ``github`` context and the events are the
caller's; variables of the caller's ``env:`` are not passed; secrets are passed by name or all with ``inherit``, one level
at a time; a job with an ``environment:`` reads that environment's secrets, which cannot be passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.definitions.definition import FILE
from collectors.definitions.github.checkouts import names_head
from collectors.definitions.github.conditions import guards
from collectors.definitions.github.expressions import condition, expressions, paths
from collectors.definitions.github.passed_values import Passed, is_never
from collectors.definitions.github.steps import PRIVILEGED, Guard, RawJob, Workflow, expand
from collectors.definitions.yaml_nodes import Mapping, Scalar, mapping, text
from scanner.records import Severity  # noqa: TC001  msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collectors.definitions.github.taint import Taint

_OF_THE_RUN = frozenset(("needs", "steps", "strategy", "env", "matrix", "job"))
"""Contexts of the calling job, which mean something else in the called workflow."""
_HEAD = "${{ github.event.pull_request.head.sha }}"


class CalledWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    """A called workflow with the caller's values in place."""

    root: Mapping
    outer: dict[str, frozenset[Guard]]
    """Event to the guards of the calling job."""
    outputs: dict[str, str]
    passed: dict[str, Severity | None]
    """Inputs whose value only the run knows, with the danger of that value."""
    several: dict[str, list[str]]
    """Inputs with several values, from a matrix."""
    never: frozenset[str]
    """Jobs whose condition is false for this caller."""

    def matrix(self, own: dict[str, list[str]]) -> dict[str, list[str]]:
        """Return the matrix of a job, with the inputs that have several values."""
        return own | {f"inputs.{name}": values for name, values in self.several.items()}


def called_workflow(
    job: RawJob, root: Mapping, number: int, workflow: Workflow, taint: Taint
) -> CalledWorkflow:
    """Return a called workflow as a job of a workflow calls it."""
    call = mapping(mapping(root.get("on")).get("workflow_call"))
    given = {
        key.text.lower(): value.text
        for key, value in mapping(job.node.get("with")).pairs
        if isinstance(value, Scalar)
    }
    inputs: dict[str, str] = {}
    passed: dict[str, Severity | None] = {}
    several: dict[str, list[str]] = {}
    for key, declared in mapping(call.get("inputs")).pairs:
        name = key.text
        value = given.get(name.lower(), text(mapping(declared).get("default")) or "")
        made = expand(value, {}, job.matrix)
        if not any(_is_of_the_run(one) for one in made):
            if len(made) == 1:
                inputs[name.lower()] = made[0]
                continue
            several[name] = made
        elif names_head(workflow, job, value):
            inputs[name.lower()] = _HEAD
            continue
        typed = text(mapping(declared).get("type"))
        passed[name] = None if typed in {"boolean", "number"} else taint.text(job, {}, value)
    values = Passed(
        inputs=inputs,
        secrets=_secrets(job),
        kept=frozenset(name.lower() for name in passed),
        offset=FILE * number,
    )
    found = mapping(values.node(root))
    # A job with an environment has that environment's secrets, beside those that the caller passes.
    with_environment = msgspec.structs.replace(values, others=True)
    jobs = [
        (
            key,
            mapping(with_environment.node(written))
            if "environment" in mapping(written)
            else mapping(made_job),
        )
        for (key, made_job), (_, written) in zip(
            mapping(found.get("jobs")).pairs, mapping(root.get("jobs")).pairs, strict=True
        )
    ]
    pairs = [
        (key, Mapping(list(jobs), value.line, value.column, None) if key.text == "jobs" else value)
        for key, value in found.pairs
    ]
    return CalledWorkflow(
        root=Mapping(pairs, found.line, found.column, None),
        outer={event: guards(workflow, job, None, event) for event in PRIVILEGED & set(workflow.triggers)},
        outputs={
            key.text: text(mapping(value).get("value")) or ""
            for key, value in mapping(call.get("outputs")).pairs
        },
        passed=passed,
        several=several,
        never=frozenset(key.text for key, node in jobs if _is_never(node)),
    )


def _is_never(node: Mapping) -> bool:
    own = node.get("if")
    return isinstance(own, Scalar) and is_never(condition(own))


def _is_of_the_run(value: str) -> bool:
    return any(
        path.partition(".")[0] in _OF_THE_RUN for found in expressions(value) for path, _ in paths(found.body)
    )


def _secrets(job: RawJob) -> dict[str, str] | None:
    node = job.node.get("secrets")
    if text(node) == "inherit":
        return None
    return {key.text.upper(): value.text for key, value in mapping(node).pairs if isinstance(value, Scalar)}
