"""``.gitlab-ci.yml`` -> `Definition`.

Syntax: https://docs.gitlab.com/ci/yaml/. A job gets every CI variable of its project and groups whose scope and
protection match, whether the file names it or not: the variables listed here are those that the file reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from collectors.definitions.builder import DefinitionBuilder, text_at
from collectors.definitions.definition import (
    FILE,
    NOWHERE,
    DefinitionError,
    Included,
    Unresolved,
)
from collectors.definitions.gitlab.include import Include, includes_of, note
from collectors.definitions.gitlab.jobs import (
    INPUT,
    SCRIPTS,
    debug_switches,
    images,
    injections,
    read_job,
    values_that_read,
)
from collectors.definitions.gitlab.origins import with_origins
from collectors.definitions.gitlab.templates import ResolvedJobs, merge
from collectors.definitions.gitlab.tree import (
    IncludeSource,
    IncludeTreeBuilder,
    NoReader,
    in_precedence,
    roots,
)
from collectors.definitions.gitlab.variables import MOST, variable_sets
from collectors.definitions.shell.variables import Shell
from collectors.definitions.yaml_nodes import (
    Mapping,
    Scalar,
    mapping,
    mark,
    read,
    text,
    texts,
)

if TYPE_CHECKING:
    from collectors.definitions.definition import Definition
    from collectors.definitions.gitlab.tree import IncludeBranch, IncludeReader
    from collectors.definitions.yaml_nodes import YamlDocument
    from scanner.secrets.detectors import Fingerprint

_RESERVED = frozenset(
    ("default", "include", "stages", "variables", "workflow", "image", "services", "before_script", "after_script", "cache", "spec", "types")
)  # fmt: skip
_LEVELS = 2
"""Maximum nesting of child pipelines, GitLab's limit."""
_MOST_WAYS = 2_000
"""Maximum number of variable sets evaluated for one pipeline, in addition to one per job; limits the run time."""


def parse(path: str, source: str, fingerprint: Fingerprint, owner: str | None = None) -> Definition:
    """Parse one definition file by itself. Raises `DefinitionError`."""
    return gitlab_pipeline(path, source, fingerprint, NoReader(), owner=owner)[0]


def has_includes(source: str) -> bool:
    """Return whether a definition includes files. Raises `DefinitionError`."""
    return bool(includes_of(_root(read(source)).get("include")))


class MergedPipeline(msgspec.Struct, frozen=True):
    """A definition and its includes, as merged by GitLab."""

    root: Mapping


def read_merged(source: str) -> MergedPipeline:
    """Parse the text of a merged configuration. Raises `DefinitionError`."""
    documents = read(source)
    return MergedPipeline(mapping(documents[-1].root if documents else None))


def gitlab_pipeline(
    path: str,
    source: str,
    fingerprint: Fingerprint,
    reader: IncludeReader,
    *,
    owner: str | None = None,
    repository: IncludeSource | None = None,
    merged: MergedPipeline | None = None,
) -> tuple[Definition, list[IncludeBranch]]:
    """Parse a definition with its includes and child pipelines, and return it with the included files, read or not.
    ``repository`` is where the file is, if not in the pipeline's project. ``merged`` is the configuration as merged by
    GitLab: it is then the pipeline, and the files give line numbers and the parts that GitLab left out. Raises
    `DefinitionError` for the file itself; other files that cannot be read are in the result.
    """
    documents = read(source)
    root = _root(documents)
    out = DefinitionBuilder(path, "gitlab-ci", fingerprint)
    here = repository or IncludeSource()
    builder = IncludeTreeBuilder(reader, (here, path), documents, out.included)
    includes = includes_of(root.get("include"))
    top = builder.tree(root, includes, here, above=((here, path),), merged=True)
    reported, base, elsewhere = reader.reported(), None, 1
    if merged is not None:
        elsewhere = _elsewhere(out, builder.branches, root)
        base = with_origins(merged.root, in_precedence(top), elsewhere)
        _pasted(out, root)
    builder.statements += [msgspec.structs.replace(one, line=elsewhere) for one in reported]
    configurations = roots(top, base)
    for include in builder.statements:
        note(out, include, owner)
    known = len(builder.statements)
    reading = _Reading(out)
    for configuration in configurations:
        reading.configuration(configuration)
    reading.started(builder)
    for include in builder.statements[known:]:
        note(out, include, owner)
    reading.record_unresolved(builder.branches)
    if _lost(builder.branches):
        # Attributed to the including file, secrets and problems of files that failed tonight would look new.
        number = elsewhere // FILE
        out.hard_coded = [one for one in out.hard_coded if one.line // FILE != number]
        out.problems = [one for one in out.problems if one.line // FILE != number]
    triggers: dict[str, list[str]] = {}
    for job in out.jobs:
        for ref in job.refs:
            if ref not in triggers.setdefault("push", []):
                triggers["push"].append(ref)
    if any(not job.refs for job in out.jobs):
        triggers["push"] = []
    name = text_at(configurations[0], "workflow", "name")
    if name is None and repository is not None and repository.project:
        name = path.removesuffix(f"@{repository.project}").rsplit("/", 1)[-1]
    return out.definition(name=name, documents=documents, triggers=triggers), builder.branches


def _root(documents: list[YamlDocument]) -> Mapping:
    root = documents[-1].root if documents else None
    if not isinstance(root, Mapping):
        raise DefinitionError("malformed", "the file is not a mapping")
    return root


def _lost(branches: list[IncludeBranch]) -> bool:
    """Return whether several merged files were not read, one of them because reading it failed."""
    unread = [branch.read for branch in branches if branch.tree is None and branch.read.merged]
    return len({read.shown for read in unread}) > 1 and any(read.reason is not None for read in unread)


def _elsewhere(out: DefinitionBuilder, branches: list[IncludeBranch], root: Mapping) -> int:
    """Return the line for parts that are in no file that was read: the only file not read, or the include statement."""
    unread = {branch.read.shown for branch in branches if branch.tree is None and branch.read.merged}
    key = root.key("include")
    if len(unread) == 1:
        out.included.append(Included(path=unread.pop()))
    else:
        out.included.append(Included(path=out.path, line=key.line if key else 1))
    return FILE * len(out.included) + NOWHERE


class _Started(msgspec.Struct, frozen=True):
    """A child pipeline: https://docs.gitlab.com/ci/pipelines/downstream_pipelines/#parent-child-pipelines."""

    job: Scalar
    includes: list[Include]
    variables: Mapping
    level: int


class _Reading:
    """Parses the configurations of one pipeline."""

    def __init__(self, out: DefinitionBuilder) -> None:
        self._out = out
        self._missing: dict[tuple[int, str, str], None] = {}
        self._extended: set[tuple[int, str, str]] = set()
        self._waiting: list[_Started] = []
        self._ways = _MOST_WAYS
        self._done: set[tuple[object, ...]] = set()

    def configuration(self, root: Mapping, level: int = 0) -> None:
        """Record the content of one configuration."""
        out = self._out
        resolved_jobs = ResolvedJobs(root)
        variables = out.values(resolved_jobs.get("variables"), None)
        workflow = mapping(resolved_jobs.get("workflow"))
        for given, scalar in values_that_read(resolved_jobs.get("variables")):
            out.reads(scalar, job=None, shell=Shell(variables), scope="workflow", under=given)
        debug_switches(out, root.get("variables"), None)
        default = mapping(resolved_jobs.get("default"))
        for holder in (root, default):
            images(out, holder, None)
        marks: dict[int, int] = {}
        shared = [mark(one, marks) for one in (default, workflow, resolved_jobs.get("variables"))]
        shared += [mark(resolved_jobs.get(one), marks) for one in SCRIPTS]
        for key, node in root.pairs:
            if key.text in _RESERVED or not isinstance(node, Mapping):
                continue
            job = mapping(resolved_jobs.get(key.text))
            self._extended.update(
                (key.line, key.text, name) for name in texts(node.get("extends")) if name in root
            )
            if key.text.startswith("."):
                # A template: jobs that extend it are read with its content; its own values count once.
                out.values(node.get("variables"), key.text)
                continue
            same = (key.text, key.line, mark(job, marks), *shared)
            if same in self._done:
                continue  # no condition changes this job
            self._done.add(same)
            most = max(1, min(MOST, self._ways))
            found = variable_sets(out, job, key.text, workflow=workflow, variables=variables, most=most)
            for env in found:
                read_job(out, key, job, resolved_jobs, out.shown(env))
            self._ways -= len(found) - 1
            self._trigger(key, job, resolved_jobs, level)
        self._missing |= dict.fromkeys(resolved_jobs.missing)

    def _trigger(self, key: Scalar, job: Mapping, resolved_jobs: ResolvedJobs, level: int) -> None:
        trigger = job.get("trigger")
        if trigger is None:
            return
        project = text(trigger) or text_at(trigger, "project")
        if project is not None:
            self._out.unresolved.append(Unresolved(line=key.line, what=f"`{key.text}` triggers {project}"))
            return
        # Its variables and those of the pipeline take precedence over the child's own.
        passed = merge(mapping(resolved_jobs.get("variables")), mapping(job.get("variables")))
        includes = includes_of(mapping(trigger).get("include"))
        self._waiting.append(_Started(key, includes, passed, level + 1))

    def started(self, builder: IncludeTreeBuilder) -> None:
        """Record the content of child pipelines."""
        done: set[tuple[object, ...]] = set()
        for child in self._waiting:
            named = [
                (one.kind, one.name, *one.files, one.ref, one.line, mark(one.inputs, {}))
                for one in child.includes
            ]
            same = (*named, mark(child.variables, {}))
            if same in done or child.level > _LEVELS:
                continue
            done.add(same)
            tree = builder.tree(mapping(None), child.includes, IncludeSource())
            if not tree.branches or any(branch.tree is None for branch in tree.branches):
                self._out.unresolved.append(
                    Unresolved(line=child.job.line, what=f"`{child.job.text}` triggers a child pipeline")
                )
            variables = Scalar("variables", child.job.line, 1, None, "")
            over = Mapping([(variables, child.variables)] if child.variables.pairs else [], 1, 1, None)
            for configuration in roots(tree):
                self.configuration(merge(configuration, over), child.level)

    def record_unresolved(self, branches: list[IncludeBranch]) -> None:
        """Record what could not be resolved."""
        out = self._out
        where = "in none of the files that were read" if out.included else "not in this file"
        for line, job, name in self._missing:
            if (line, job, name) not in self._extended:
                out.unresolved.append(Unresolved(line=line, what=f"`{job}` extends {name}, which is {where}"))
        for branch in branches:
            include, one = branch.include, branch.read
            if branch.tree is not None or include.kind == "artifact":
                continue
            why = f": {one.why}" if one.why else ""
            if not one.merged:
                out.unresolved.append(Unresolved(line=include.line, what=f"includes {one.shown}{why}"))
            elif include.kind != "template":
                out.unresolved.append(
                    Unresolved(
                        line=include.line,
                        what=f"includes {one.shown}, whose conditional includes are not known{why}",
                    )
                )
        out.unresolved.sort(key=lambda one: one.line)


def _pasted(out: DefinitionBuilder, root: Mapping) -> None:
    """Find inputs in the scripts of the file itself; in the merged configuration they are already substituted."""
    resolved_jobs = ResolvedJobs(root)
    for key, node in root.pairs:
        if key.text in _RESERVED or not isinstance(node, Mapping):
            continue
        for part in SCRIPTS:
            for scalar in resolved_jobs.lines(node.get(part)):
                if INPUT.search(scalar.text):
                    injections(out, scalar, key.text)
