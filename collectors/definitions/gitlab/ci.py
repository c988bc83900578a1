"""``.gitlab-ci.yml`` -> `Definition`.

Syntax: https://docs.gitlab.com/ci/yaml/. A job gets every CI variable of its project and groups whose scope and
protection fit, named in the file or not: the variables listed here are those that the file reads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from collectors.definitions.definition import (
    FILE,
    NOWHERE,
    DefinitionError,
    Included,
    Job,
    Login,
    Runner,
    Unresolved,
)
from collectors.definitions.gathered import Gathered, text_at
from collectors.definitions.gitlab.include import Include, includes_of, note
from collectors.definitions.gitlab.logins import id_token_logins, vault_secrets
from collectors.definitions.gitlab.placed import placed
from collectors.definitions.gitlab.templates import Unfolded, merge
from collectors.definitions.gitlab.tree import Grower, NoReader, Repository, in_precedence, roots
from collectors.definitions.gitlab.variables import MOST, MOST_RULES, flat, ways
from collectors.definitions.shell.variables import Shell, fill
from collectors.definitions.yaml_nodes import (
    Mapping,
    Scalar,
    boolean,
    items,
    mapping,
    mark,
    read,
    text,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.definition import Definition
    from collectors.definitions.gitlab.tree import Branch, Reader
    from collectors.definitions.yaml_nodes import Document, Node
    from scanner.secrets.detectors import Fingerprint

_RESERVED = frozenset(
    ("default", "include", "stages", "variables", "workflow", "image", "services", "before_script", "after_script", "cache", "spec", "types")
)  # fmt: skip
_SCRIPTS = ("before_script", "script", "after_script")
_DEFAULTS = frozenset(("before_script", "after_script", "hooks", "id_tokens", "identity", "tags"))
"""Of what is read here, the keywords that a job takes from ``default:``; the scripts also from the top level."""
_LEVELS = 2
"""Of child pipelines, as GitLab allows."""
_MOST_WAYS = 2_000
"""To run the jobs of one pipeline, beside one for each; so that no file takes for ever."""
_BRANCH_RULE = re.compile(
    r"\$CI_COMMIT_(?:BRANCH|REF_NAME)\s*==\s*(?:[\"'](?P<name>[^\"']+)[\"']|(?P<default>\$CI_DEFAULT_BRANCH))"
)
_TAG_RULE = re.compile(r"\s*\$CI_COMMIT_TAG\b")
_UNTRUSTED = re.compile(
    r"(?:\beval\b|\b(?:ba|z)?sh\s+-c\b|\bpython3?\s+-c\b)[^\n]*\$\{?CI_(?:COMMIT_(?:MESSAGE|TITLE|DESCRIPTION|REF_NAME|BRANCH|TAG|AUTHOR)|"
    r"MERGE_REQUEST_(?:TITLE|DESCRIPTION|SOURCE_BRANCH_NAME|LABELS))"
)
_INPUT = re.compile(r"\$\[\[\s*inputs\.(?P<name>[\w-]+)")


def parse(path: str, source: str, fingerprint: Fingerprint, owner: str | None = None) -> Definition:
    """Read one definition file by itself. Raises `DefinitionError`."""
    return pipeline(path, source, fingerprint, NoReader(), owner=owner)[0]


def takes_in(source: str) -> bool:
    """Tell whether a definition includes files. Raises `DefinitionError`."""
    return bool(includes_of(_root(read(source)).get("include")))


def pipeline(
    path: str,
    source: str,
    fingerprint: Fingerprint,
    reader: Reader,
    *,
    owner: str | None = None,
    repository: Repository | None = None,
    merged: Mapping | None = None,
) -> tuple[Definition, list[Branch]]:
    """Read a definition with all that it includes and starts, and return it with what was included, read or not.

    ``repository`` is where the file stands, if not with its pipeline. ``merged`` is what GitLab made of it: that is the
    pipeline, then, and the files tell where its parts stand and what GitLab left out. Raises `DefinitionError` for the
    file itself; what cannot be read of the others stands in the answer.
    """
    documents = read(source)
    root = _root(documents)
    out = Gathered(path, "gitlab-ci", fingerprint)
    here = repository or Repository()
    grower = Grower(reader, (here, path), documents, out.included)
    includes = includes_of(root.get("include"))
    top = grower.tree(root, includes, here, above=((here, path),), merged=True)
    beneath, base, elsewhere = reader.beneath(), None, 1
    if merged is not None:
        elsewhere = _elsewhere(out, grower.branches, root)
        base = placed(merged, in_precedence(top), elsewhere)
        _pasted(out, root)
    grower.statements += [msgspec.structs.replace(one, line=elsewhere) for one in beneath]
    configurations = roots(top, base)
    for include in grower.statements:
        note(out, include, owner)
    known = len(grower.statements)
    reading = _Reading(out)
    for configuration in configurations:
        reading.configuration(configuration)
    reading.started(grower)
    for include in grower.statements[known:]:
        note(out, include, owner)
    reading.told(grower.branches)
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
    return out.definition(name=name, documents=documents, triggers=triggers), grower.branches


def _root(documents: list[Document]) -> Mapping:
    root = documents[-1].root if documents else None
    if not isinstance(root, Mapping):
        raise DefinitionError("malformed", "the file is not a mapping")
    return root


def _elsewhere(out: Gathered, branches: list[Branch], root: Mapping) -> int:
    """Return the line of what stands in no file that was read: of the one file that was not, or of the statement."""
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
    """Reads the configurations of one pipeline."""

    def __init__(self, out: Gathered) -> None:
        self._out = out
        self._missing: dict[tuple[int, str, str], None] = {}
        self._extended: set[tuple[int, str, str]] = set()
        self._waiting: list[_Started] = []
        self._ways = _MOST_WAYS
        self._done: set[tuple[object, ...]] = set()

    def configuration(self, root: Mapping, level: int = 0) -> None:
        """Note what one configuration says."""
        out = self._out
        unfolded = Unfolded(root)
        variables = out.values(unfolded.get("variables"), None)
        workflow = mapping(unfolded.get("workflow"))
        for given, scalar in _values(unfolded.get("variables")):
            out.reads(scalar, job=None, shell=Shell(variables), scope="workflow", under=given)
        _debug(out, root.get("variables"), None)
        default = mapping(unfolded.get("default"))
        for holder in (root, default):
            _images(out, holder, None)
        marks: dict[int, int] = {}
        shared = [mark(one, marks) for one in (default, workflow, unfolded.get("variables"))]
        shared += [mark(unfolded.get(one), marks) for one in _SCRIPTS]
        for key, node in root.pairs:
            if key.text in _RESERVED or not isinstance(node, Mapping):
                continue
            job = mapping(unfolded.get(key.text))
            self._extended.update(
                (key.line, key.text, name) for name in texts(node.get("extends")) if name in root
            )
            if key.text.startswith("."):
                # A template: jobs that extend it are read with what it gives; its own values count once.
                out.values(node.get("variables"), key.text)
                continue
            same = (key.text, key.line, mark(job, marks), *shared)
            if same in self._done:
                continue  # no condition changes this job
            self._done.add(same)
            most = max(1, min(MOST, self._ways))
            found = ways(out, job, key.text, workflow=workflow, variables=variables, most=most)
            for env in found:
                _job(out, key, job, unfolded, out.shown(env))
            self._ways -= len(found) - 1
            self._trigger(key, job, unfolded, level)
        self._missing |= dict.fromkeys(unfolded.missing)

    def _trigger(self, key: Scalar, job: Mapping, unfolded: Unfolded, level: int) -> None:
        trigger = job.get("trigger")
        if trigger is None:
            return
        project = text(trigger) or text_at(trigger, "project")
        if project is not None:
            self._out.unresolved.append(Unresolved(line=key.line, what=f"`{key.text}` triggers {project}"))
            return
        # Its variables, and those of the pipeline, go before the child's own.
        passed = merge(mapping(unfolded.get("variables")), mapping(job.get("variables")))
        includes = includes_of(mapping(trigger).get("include"))
        self._waiting.append(_Started(key, includes, passed, level + 1))

    def started(self, grower: Grower) -> None:
        """Note what the pipelines say that jobs start."""
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
            tree = grower.tree(mapping(None), child.includes, Repository())
            if not tree.branches or any(branch.tree is None for branch in tree.branches):
                self._out.unresolved.append(
                    Unresolved(line=child.job.line, what=f"`{child.job.text}` triggers a child pipeline")
                )
            variables = Scalar("variables", child.job.line, 1, None, "")
            over = Mapping([(variables, child.variables)] if child.variables.pairs else [], 1, 1, None)
            for configuration in roots(tree):
                self.configuration(merge(configuration, over), child.level)

    def told(self, branches: list[Branch]) -> None:
        """Note what could not be resolved."""
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


def _values(node: Node | None) -> Iterator[tuple[str, Scalar]]:
    """Yield the variables whose value reads others, by name."""
    for key, value in mapping(node).pairs:
        scalar = mapping(value).get("value") if isinstance(value, Mapping) else value
        if isinstance(scalar, Scalar) and "$" in scalar.text:
            yield key.text, scalar


def _inherited(unfolded: Unfolded, job: Mapping, keyword: str) -> Node | None:
    """Return a keyword of a job, or what it takes over: https://docs.gitlab.com/ci/yaml/#inherit."""
    if keyword in job or keyword not in _DEFAULTS or "trigger" in job:
        return job.get(keyword)  # a job that starts another pipeline runs nothing itself
    inherit = mapping(job.get("inherit")).get("default")
    if inherit is not None and boolean(inherit) is not True and keyword not in texts(inherit):
        return None
    found = mapping(unfolded.get("default")).get(keyword)
    return unfolded.get(keyword) if found is None and keyword in _SCRIPTS else found


def _job(out: Gathered, key: Scalar, node: Mapping, unfolded: Unfolded, env: dict[str, str]) -> None:
    name = key.text
    environment = text(node.get("environment")) or text_at(node, "environment", "name")
    shown = fill(environment, env) if environment else environment
    if shown and "$" in shown:
        shown = "*"
        out.unresolved.append(Unresolved(line=key.line, what=f"the environment of `{name}` is computed"))
    _debug(out, node.get("variables"), name)
    _images(out, node, name)
    tokens = mapping(_inherited(unfolded, node, "id_tokens"))
    own = [key.text for key, _ in tokens.pairs]
    google = text(_inherited(unfolded, node, "identity")) == "google_cloud"
    # A token that the job is given is no stored secret.
    shell = Shell(
        {**env, **dict.fromkeys([*own, *(given.text for given, _ in mapping(node.get("secrets")).pairs)], "")}
    )
    for given, scalar in _values(node.get("variables")):
        out.reads(scalar, job=name, shell=shell, environment=shown, under=given)
    shell.hand(((given, value) for given, value in env.items() if value != f"${given}"), macros=False)
    hooks = mapping(_inherited(unfolded, node, "hooks")).get("pre_get_sources_script")
    scripts = unfolded.lines(hooks)
    for part in _SCRIPTS:
        scripts = [*scripts, *unfolded.lines(_inherited(unfolded, node, part))]
    for item in items(node.get("run")):
        scripts = [*scripts, *unfolded.lines(mapping(item).get("script"))]
    for scalar in scripts:
        out.script(scalar, job=name, shell=shell, environment=shown)
        _injection(out, scalar, name)
    whole = "\n".join(scalar.text for scalar in scripts)
    id_token_logins(out, key, tokens, whole, env=env, environment=shown)
    vault_secrets(out, name, node, shown)
    if google:
        out.logins.append(
            Login(service="gcp", how="oidc", line=key.line, job=name, environment=shown, token_allowed=True)
        )
    out.static_logins(shell, key.line, job=name, environment=shown)
    tags = texts(_inherited(unfolded, node, "tags"))
    hosted = bool(tags) and all(re.match(r"saas-|gitlab-org", tag) for tag in tags)
    out.jobs.append(
        Job(
            name=name,
            line=key.line,
            runner=Runner(kind="hosted" if hosted else "unknown", labels=tags),
            environment=shown,
            identity_token=bool(own) or google,
            refs=_refs(node),
        )
    )


def _images(out: Gathered, node: Mapping, job: str | None) -> None:
    parts = [node.get("image"), *items(node.get("services"))]
    for part in parts:
        if part is None:
            continue
        image = text(part) or text_at(part, "name")
        if image and not image.startswith("$"):
            out.image(image, part.line, job)
        out.values(mapping(part).get("variables"), job)


def _refs(node: Mapping) -> list[str]:
    """Return the git refs on which a job runs, as far as its rules say so plainly; empty for any."""
    only = node.get("only")
    names = texts(mapping(only).get("refs") if isinstance(only, Mapping) else only)
    if names:
        refs = []
        for name in names:
            if name == "tags":
                refs.append("refs/tags/*")
            elif re.fullmatch(r"[\w./-]+", name) and name not in _KEYWORDS:
                refs.append(f"refs/heads/{name}")
            else:
                return []
        return refs
    rules = flat(node.get("rules"))
    if len(rules) >= MOST_RULES:
        return []
    refs = []
    for rule in rules:
        if text(mapping(rule).get("when")) == "never":
            continue
        condition = text(mapping(rule).get("if")) or ""
        branch = _BRANCH_RULE.search(condition)
        if branch is not None and "||" not in condition and "!=" not in condition:
            refs.append(f"refs/heads/{branch['name'] or '$CI_DEFAULT_BRANCH'}")
        elif _TAG_RULE.match(condition) and "||" not in condition:
            refs.append("refs/tags/*")
        else:
            return []
    return list(dict.fromkeys(refs))


_KEYWORDS = frozenset(
    ("branches", "merge_requests", "schedules", "web", "api", "pushes", "triggers", "pipelines", "external", "chat", "external_pull_requests")
)  # fmt: skip


def _debug(out: Gathered, node: Node | None, job: str | None) -> None:
    for key, value in mapping(node).pairs:
        given = value.get("value") if isinstance(value, Mapping) else value
        if key.text in {"CI_DEBUG_TRACE", "CI_DEBUG_SERVICES"} and boolean(given):
            out.problem(
                "debug-enabled",
                key.line,
                f"{key.text} prints every variable of the job to the log, including secrets",
                severity="high" if key.text == "CI_DEBUG_TRACE" else "low",
                fix="Remove it.",
                job=job,
            )


def _injection(out: Gathered, scalar: Scalar, job: str) -> None:
    start = scalar.line + (1 if scalar.style in {"|", ">"} else 0)
    for number, line in enumerate(scalar.text.split("\n")):
        if _UNTRUSTED.search(line):
            out.problem(
                "template-injection",
                start + number,
                "text from a push or merge request is executed as code",
                severity="high",
                fix="Use the quoted variable as an argument, never with eval or sh -c.",
                job=job,
            )
        given = _INPUT.search(line)
        if given is not None:
            out.problem(
                "template-injection",
                start + number,
                f"the input `{given['name']}` is expanded into the script before it runs",
                severity="low",
                fix="Pass the input through `variables:` and use the quoted variable.",
                job=job,
            )


def _pasted(out: Gathered, root: Mapping) -> None:
    """Look for inputs in the scripts of the file itself: in what GitLab merged, they are filled in."""
    unfolded = Unfolded(root)
    for key, node in root.pairs:
        if key.text in _RESERVED or not isinstance(node, Mapping):
            continue
        for part in _SCRIPTS:
            for scalar in unfolded.lines(node.get(part)):
                if _INPUT.search(scalar.text):
                    _injection(out, scalar, key.text)
