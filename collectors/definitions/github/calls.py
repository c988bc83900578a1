"""The reusable workflows and actions that a workflow calls, as far as their files can be read.

https://docs.github.com/en/actions/reference/workflows-and-actions/reusing-workflow-configurations: ``./`` names a file of
the same repository at the same commit; calls nest up to 10 levels, and a run calls up to 50 workflows. A local action is
found in the workspace: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsuses.
"""

from __future__ import annotations

import posixpath
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from collectors.definitions.called_files import NAMES_SECRETS, RANK, CalledFiles, CalledRepository
from collectors.definitions.definition import FILE, DefinitionError, Unresolved
from collectors.definitions.github.expressions import condition
from collectors.definitions.github.passed_values import Passed, is_never
from collectors.definitions.github.steps import OWN_PREFIXES, RawJob, WorkflowStep, steps_of
from collectors.definitions.yaml_nodes import MAX_NODES, Mapping, Scalar, mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collectors.definitions.called_files import CalledDefinitions
    from collectors.definitions.definition import Definition, Problem

_LEVELS = 10
_MOST = 200
"""Calls that are followed: a run has at most 50 called workflows, each with its actions."""


class Calls:
    """The calls of one workflow or action."""

    def __init__(self, path: str, known: CalledDefinitions | None) -> None:
        self.known = known
        self.files = CalledFiles(path, known, levels=_LEVELS, most=_MOST, by_call=True)
        self.lines: dict[int, list[str]] = {}
        self.unresolved: list[Unresolved] = []
        self._places: dict[int, tuple[CalledRepository, str]] = {}
        self._actions = 0
        self._nodes = 0

    @contextmanager
    def entered(self, name: str, ref: str | None, line: int) -> Iterator[tuple[int, Mapping]]:
        """Give number and content of a called workflow or action. Raises `DefinitionError`."""
        if self.known is None:
            raise DefinitionError("unsupported", "called files are not read")
        repository, path = self._place(name, ref)
        with self.files.entered(repository, path, line) as (number, source):
            self.lines[number] = source.splitlines()
            self._places[number] = (repository, path)
            root, size = self.known.root(repository, path)
            self._nodes += size
            if self._nodes > MAX_NODES:
                raise DefinitionError("truncated", "the called files are larger than is read")
            yield number, root

    def _place(self, name: str, ref: str | None) -> tuple[CalledRepository, str]:
        if "${{" in name:
            raise DefinitionError("unsupported", "its name is computed")
        if name.startswith(OWN_PREFIXES):
            repository, path = self.files.here[0], posixpath.normpath(name[2:] or ".")
            if path.startswith(".."):
                raise DefinitionError("unsupported", "it is outside the repository")
        else:
            owner, _, rest = name.partition("/")
            repository_name, _, path = rest.partition("/")
            repository = CalledRepository(name=f"{owner}/{repository_name}", ref=ref)
            path = posixpath.normpath(path or ".")
        if path.endswith((".yml", ".yaml")):
            return repository, path
        folder = "" if path == "." else f"{path}/"
        names = [f"{folder}action.yml", f"{folder}action.yaml"]
        found = (name for name in names if self.known is not None and self.known.has(repository, name))
        return repository, next(found, names[0])

    def with_actions(self, job: RawJob) -> RawJob:
        """Return a job with the steps of the local actions that it runs, each after the step that names the action."""
        if self.known is None or not any(self._is_followed(step) for step in job.steps):
            return job
        steps = list(self._steps(job.steps))
        return msgspec.structs.replace(
            job, steps=[msgspec.structs.replace(step, at=at) for at, step in enumerate(steps)]
        )

    def _is_followed(self, step: WorkflowStep) -> bool:
        name = step.uses or ""
        if name.startswith(OWN_PREFIXES):
            return True
        # An action of another repository is followed where its file is at hand; otherwise its name is all there is.
        return bool(self.files.here[0].name) and name.startswith(f"{self.files.here[0].name}/")

    def _steps(self, steps: list[WorkflowStep]) -> Iterator[WorkflowStep]:
        for step in steps:
            if not self._is_followed(step):
                yield step
                continue
            try:
                with self.entered(step.uses or "", step.ref, step.line) as (number, root):
                    yield from self._of_action(step, number, root)
            except DefinitionError as exc:
                yield step
                self.unresolved.append(
                    Unresolved(line=step.line, what=f"the local action {step.uses}: {exc}")
                )

    def _of_action(self, step: WorkflowStep, number: int, root: Mapping) -> Iterator[WorkflowStep]:
        runs = mapping(root.get("runs"))
        steps = runs.get("steps")
        self._actions += 1
        given = {key.text.lower(): value for key, value in step.inputs.pairs if isinstance(value, Scalar)}
        inputs = {
            key.text.lower(): given[key.text.lower()].text
            if key.text.lower() in given
            else text(mapping(value).get("default")) or ""
            for key, value in mapping(root.get("inputs")).pairs
        }
        passed = Passed(inputs=inputs, steps=f"a{self._actions}-", offset=FILE * number)
        outputs = {
            key.text: passed.text(text(mapping(value).get("value")) or "")
            for key, value in mapping(root.get("outputs")).pairs
        }
        yield msgspec.structs.replace(step, outputs=outputs)
        if steps is None or self._actions > _MOST:
            return
        outer = condition(step.condition) if step.condition is not None else ""
        inner = [
            made for one in steps_of(passed.node(steps)) if (made := _inside(one, step, outer)) is not None
        ]
        yield from self._steps(inner)

    def workflow(self, number: int) -> str:
        """Return a called workflow as ``uses:`` names it, without ``./``."""
        repository, path = self._places[number]
        return f"{repository.name}/{path}@{repository.ref}" if repository.name else path

    def only_through_calls(
        self, problems: list[Problem], parse: Callable[[str, str], Definition]
    ) -> Iterator[Problem]:
        """Yield the problems without those that a called file shows by itself, where they are reported."""
        seen: set[tuple[str, int, str | None, str]] = set()
        for problem in problems:
            key = (problem.code, problem.line, problem.job, problem.detail)
            if key not in seen and not self._is_known(problem, parse):
                seen.add(key)
                yield problem

    def _is_known(self, problem: Problem, parse: Callable[[str, str], Definition]) -> bool:
        number, line = divmod(problem.line, FILE)
        if not number or self.known is None:
            return False
        about = problem.detail if problem.code in NAMES_SECRETS else ""
        key = (problem.code, self.files.included[number - 1].path, line, about)
        while number:
            alone = self.known.alone(*self._places[number], parse)
            if alone.get(key, 9) <= RANK[problem.severity]:
                return True
            number = (self.files.included[number - 1].called_at or 0) // FILE
        return False


def _inside(step: WorkflowStep, outer: WorkflowStep, condition_of_outer: str) -> WorkflowStep | None:
    """Return a step of an action as a step of the job; None if its condition is never true."""
    own = condition(step.condition) if step.condition is not None else ""
    if own and is_never(own):
        return None
    both = f"({condition_of_outer}) && ({own})" if condition_of_outer and own else own or condition_of_outer
    at = step.condition or outer.condition
    made = Scalar(both, at.line, at.column, None, "") if both and at is not None else None
    env = Mapping([*outer.env.pairs, *step.env.pairs], step.env.line, step.env.column, None)
    return msgspec.structs.replace(step, condition=made, env=env)


def within(own: dict[str, str] | None, given: dict[str, str] | None) -> dict[str, str] | None:
    """Return the permissions of a called job: its own, as far as the caller has them."""
    if given is None and own is not None:
        return own | {"id-token": "none"}  # no default of GitHub includes it
    if given is None or own is None:
        return given
    rank = {"none": 0, "read": 1, "write": 2}

    def level(scope: str) -> str:
        asked = own.get(scope, own.get("*", "none"))
        most = given.get(scope, given.get("*", "none"))
        return min(asked, most, key=lambda one: rank.get(one, 0))

    return {scope: level(scope) for scope in dict.fromkeys([*own, *given]) if level(scope) != "none"}
