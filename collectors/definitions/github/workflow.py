"""GitHub workflows and composite actions -> `Definition`.

Syntax: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax and
https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax. Triggers that run with the
repository's rights for untrusted users:
https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from collectors.definitions.definition import (
    Definition,
    DefinitionError,
    Job,
    Problem,
    Unresolved,
)
from collectors.definitions.github import problems as github_problems
from collectors.definitions.github.called_workflow import called_workflow
from collectors.definitions.github.calls import Calls, within
from collectors.definitions.github.job_reader import JobReader, line_of
from collectors.definitions.github.logins import (
    environment_logins,
)
from collectors.definitions.github.steps import (
    RawJob,
    Workflow,
    environments_of,
    job_of,
    job_of_action,
    permissions_of,
    split_uses,
    steps_of,
)
from collectors.definitions.github.taint import Taint
from collectors.definitions.github.triggers import DANGEROUS, activities_of, inputs_of, triggers_of
from collectors.definitions.yaml_nodes import Mapping, mapping, read, text

if TYPE_CHECKING:
    from collectors.definitions.called_files import CalledDefinitions
    from collectors.definitions.yaml_nodes import YamlDocument
    from scanner.secrets.detectors import Fingerprint


_MOST_WORK = 1_000_000
"""Steps times variables. The largest public workflows have about ten thousand."""


def parse(
    path: str,
    source: str,
    fingerprint: Fingerprint,
    owner: str | None = None,
    called: CalledDefinitions | None = None,
) -> Definition:
    """Parse a workflow or an action.yml, with the files that it calls if ``called`` reads them. Raises `DefinitionError`.
    ``owner`` is the account whose actions are not third-party.
    """
    documents = read(source)
    root = documents[0].root if documents else None
    if not isinstance(root, Mapping):
        raise DefinitionError("malformed", "the file is not a mapping")
    reader = _Reader(path, root, fingerprint, owner, Calls(path, called))
    reader.lines = source.splitlines()
    if "runs" in root and "jobs" not in root:
        found = reader.action()
    elif isinstance(root.get("jobs"), Mapping):
        found = reader.workflow()
    else:
        raise DefinitionError("malformed", "the workflow has no jobs")
    return reader.definition(found, documents[0])


class _Found(NamedTuple):
    """What a workflow or action is, beside the lists of its reader."""

    name: str
    triggers: dict[str, list[str]]
    jobs: list[Job]
    permissions: dict[str, str] | None
    problems: list[Problem]


class _Reader(JobReader):
    """Parses a workflow job by job."""

    def workflow(self) -> _Found:
        """Read a workflow and what it calls."""
        triggers = triggers_of(self.root.get("on"))
        permissions = permissions_of(self.root.get("permissions"))
        jobs = self.raw_jobs(permissions)
        workflow = Workflow(
            env=self.env,
            triggers=triggers,
            activities=activities_of(self.root.get("on")),
            permissions=permissions,
            permissions_line=line_of(self.root, "permissions"),
            permission_lines={key.text: key.line for key, _ in mapping(self.root.get("permissions")).pairs},
            lines=self.lines,
            on_line=line_of(self.root, "on"),
            on_lines={key.text: key.line for key, _ in mapping(self.root.get("on")).pairs},
            inputs=inputs_of(self.root),
            jobs=jobs,
            uses=self.uses,
            logins=self.logins,
            secrets=self.secrets,
            composite=False,
            other_lines=self.calls.lines,
        )
        made, problems, _ = self.evaluate(workflow, set(triggers) == {"workflow_call"})
        return _Found(
            text(self.root.get("name")) or self.path.rsplit("/", 1)[-1], triggers, made, permissions, problems
        )

    def raw_jobs(self, permissions: dict[str, str] | None) -> list[RawJob]:
        """Return the jobs, with the steps of local actions."""
        jobs = [
            self.calls.with_actions(job_of(key, node, permissions))
            for key, node in mapping(self.root.get("jobs")).pairs
            if isinstance(node, Mapping)
        ]
        self._guard(jobs)
        return jobs

    def evaluate(self, workflow: Workflow, only_called: bool) -> tuple[list[Job], list[Problem], Taint]:
        """Read the jobs of a workflow and of the workflows that they call. Returns the jobs, the problems, and the
        dangers of its values.
        """
        self.read_references(self.env, "workflow", None, None)
        self.check_values(self.env, None)
        self.logins += environment_logins(self.env, 1, None, None)
        made = [self.read_job(job, only_called) for job in workflow.jobs]
        for job, read_as in zip(workflow.jobs, list(made), strict=True):
            # One entry for each environment: their tokens differ.
            made += [
                msgspec.structs.replace(read_as, environment=name)
                for name in (environments_of(job)[1:] if job.environment == "*" else ())
            ]
        taint = Taint(workflow)
        children: list[tuple[str, _Reader, list[Job], list[Problem]]] = []
        for at, job in enumerate(workflow.jobs):
            if job.calls is None:
                continue
            try:
                children.append((job.key, *self._called(job, workflow, taint, only_called)))
            except DefinitionError as exc:
                why = f": {exc}" if self.calls.files.followed else ""
                what = f"job `{job.key}` is the reusable workflow {job.calls}{why}"
                self.unresolved.append(Unresolved(line=job.line, what=what))
            else:
                made[at] = msgspec.structs.replace(made[at], followed=True)
        problems = list(github_problems.find(workflow, taint))
        for key, child, jobs, found in children:
            for mine, inner in zip(self.lists(), child.lists(), strict=True):
                mine.extend(_renamed(inner, key))
            self.unresolved += child.unresolved
            made += _named(jobs, key)
            problems += _renamed(found, key)
        return made, problems, taint

    def _called(
        self, job: RawJob, workflow: Workflow, taint: Taint, only_called: bool
    ) -> tuple[_Reader, list[Job], list[Problem]]:
        """Read the workflow that a job calls, as this job calls it. Raises `DefinitionError`."""
        name, ref = split_uses(job.calls or "")
        with self.calls.entered(name, ref, line_of(job.node, "uses")) as (number, root):
            if not isinstance(root.get("jobs"), Mapping):
                raise DefinitionError("malformed", "it has no jobs")
            called = called_workflow(job, root, number, workflow, taint)
            child = _Reader(self.path, called.root, self.fingerprint, self.owner, self.calls)
            child.called = True
            permissions = permissions_of(called.root.get("permissions"))
            jobs = [
                msgspec.structs.replace(
                    one,
                    matrix=called.matrix(one.matrix),
                    permissions=one.permissions
                    if only_called and job.permissions is None
                    else within(one.permissions, job.permissions),
                )
                for one in child.raw_jobs(permissions)
                if one.key not in called.never
            ]
            inner = msgspec.structs.replace(
                workflow,
                env=child.env,
                permissions=permissions,
                inputs=inputs_of(called.root),
                jobs=jobs,
                uses=child.uses,
                logins=child.logins,
                secrets=child.secrets,
                called=True,
                outer=called.outer,
                outputs=called.outputs,
                passed=called.passed,
                gates={},
                checks={},
            )
            made, problems, inner_taint = child.evaluate(inner, only_called)
            taint.called[job.key] = inner_taint
            path = self.calls.workflow(number)
            return (
                child,
                [msgspec.structs.replace(one, workflow=one.workflow or path) for one in made],
                problems,
            )

    def lists(self) -> tuple[list[Any], ...]:
        """Return the lists of what is in a job."""
        return (self.secrets, self.variables, self.logins, self.uses, self.deploys)

    def _guard(self, jobs: list[RawJob]) -> None:
        """Reject a file with far more combinations of steps and variables than any real workflow."""
        shared = len(self.env.pairs)
        work = sum(len(job.steps) * (shared + len(job.env.pairs) + 1) for job in jobs)
        if work > _MOST_WORK:
            raise DefinitionError("truncated", f"{work} pairs of step and variable, more than the limit")

    def action(self) -> _Found:
        """Read a composite action, or one in a container."""
        runs = mapping(self.root.get("runs"))
        steps = steps_of(runs.get("steps"))
        job = self.calls.with_actions(job_of_action(runs, steps))
        image = text(runs.get("image"))
        if image and image.startswith("docker://"):
            self.read_image(image.removeprefix("docker://"), line_of(runs, "image"), None, [])
        self.read_steps(job, None)
        workflow = Workflow(
            env=self.env,
            triggers={},
            activities={},
            permissions=None,
            permissions_line=1,
            permission_lines={},
            lines=self.lines,
            on_line=1,
            on_lines={},
            inputs=dict.fromkeys((key.text for key, _ in mapping(self.root.get("inputs")).pairs), "string"),
            jobs=[job],
            uses=self.uses,
            logins=self.logins,
            secrets=self.secrets,
            composite=True,
            other_lines=self.calls.lines,
        )
        made = [Job(name="action", line=runs.line)] if steps else []
        problems = list(github_problems.find(workflow, Taint(workflow)))
        return _Found(text(self.root.get("name")) or self.path, {}, made, None, problems)

    def definition(self, found: _Found, document: YamlDocument) -> Definition:
        """Return the definition."""
        problems = list(self.calls.only_through_calls(found.problems, self._alone))
        problems += [
            Problem(
                code="duplicate-key",
                line=key.line,
                detail=f"the key `{key.text[:80]}` is defined twice: GitHub rejects the file, and other parsers use one of them",
                severity="low",
                fix="Remove one of the two.",
            )
            for key in document.duplicates
        ]
        return Definition(
            path=self.path,
            included=self.calls.files.included,
            format="github-workflow" if "jobs" in self.root else "github-action",
            name=found.name,
            triggers=found.triggers,
            jobs=found.jobs,
            permissions=found.permissions,
            secrets=self.secrets,
            variables=self.variables,
            logins=self.logins,
            uses=self.uses,
            dangerous_triggers=[event for event in DANGEROUS if event in found.triggers],
            untrusted_checkout=any(
                problem.code == "untrusted-checkout" and problem.severity != "info" for problem in problems
            ),
            hard_coded=self.hard_coded,
            deploys=self.deploys,
            problems=sorted(problems, key=lambda problem: (problem.line, problem.code, problem.detail)),
            unresolved=[*self.unresolved, *self.calls.unresolved],
            job_token="jobs" in self.root,
            confidence="low" if document.repaired else "high",
        )

    def _alone(self, path: str, source: str) -> Definition:
        """Return a called file as it is without its callers."""
        return parse(path, source, self.fingerprint, self.owner, self.calls.known)


PartT = TypeVar("PartT")


def _renamed(parts: list[PartT], caller: str) -> list[PartT]:
    """Return parts of a called workflow with the names of their jobs as GitHub shows them: ``caller / called``."""
    return [
        part
        if (name := getattr(part, "job", None)) is None
        else msgspec.structs.replace(part, job=f"{caller} / {name}")  # type: ignore[type-var]
        for part in parts
    ]


def _named(jobs: list[Job], caller: str) -> list[Job]:
    return [msgspec.structs.replace(job, name=f"{caller} / {job.name}") for job in jobs]
