"""The jobs and steps of a GitHub workflow as nodes, before evaluation.

Syntax: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from collectors.definitions.definition import FILE, Login, Reference, Use
from collectors.definitions.github.expressions import expressions, paths
from collectors.definitions.images import image_pin
from collectors.definitions.yaml_nodes import Mapping, Scalar, Sequence, items, mapping, scalars, text, texts
from scanner.records import Severity  # noqa: TC001  msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.definition import Pin, RunnerKind
    from collectors.definitions.yaml_nodes import Node


_SHA = re.compile(r"[0-9a-f]{40}")


_VERSION = re.compile(r"v?\d++(?:\.\d++)*+[-+._]?[\w.]*|(?:release|rel)[-_]v?\d[\w.]*")


HOSTED = re.compile(
    r"(?i)(?:ubuntu|windows|macos)-(?:latest|slim|\d[\w.]*)(?:-(?:large|xlarge|arm|arm64|intel|\d+-?cores?|vs\d+))*"
)


PRIVILEGED = frozenset(
    (
        "pull_request_target",
        "workflow_run",
        "issue_comment",
        "issues",
        "discussion",
        "discussion_comment",
        "pull_request_review",
        "pull_request_review_comment",
    )
)
"""Events that untrusted users can cause and that run with secrets and a writable token."""


_DETOUR = re.compile(r"[^./]/+(?:/|\.{1,2}(?:/|$))|[^/.]/$")
"""``actions/checkout/./`` is equivalent to ``actions/checkout``."""


_MOST_EXPRESSIONS = 20


_FIRST_PARTY = frozenset(("actions", "github"))


OWN_PREFIXES = ("./", "$/")
"""Prefixes of a ``uses:`` in the same repository: in the checkout, at the running commit."""


class WorkflowStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step."""

    node: Mapping
    line: int
    uses: str | None
    """Action without its ref, as written."""
    ref: str | None
    run: Scalar | None
    inputs: Mapping
    env: Mapping
    condition: Scalar | None
    at: int = 0
    """Position in its job."""
    outputs: dict[str, str] | None = None
    """For a local action whose steps follow: its outputs and their values."""

    @property
    def action(self) -> str:
        """The action's name in lower case, as GitHub compares it; empty for ``run`` steps."""
        name = (self.uses or "").lower()
        return posixpath.normpath(name) if _DETOUR.search(name) else name

    def input(self, *names: str) -> Scalar | None:
        """Return the first of these inputs that is set. Names are case-insensitive, as on GitHub."""
        wanted = {name.lower() for name in names}
        for key, value in self.inputs.pairs:
            if key.text.lower() in wanted and isinstance(value, Scalar) and value.text.strip():
                return value
        return None


class RawJob(msgspec.Struct, frozen=True, kw_only=True):
    """One job: its nodes and literal values."""

    key: str
    node: Mapping
    line: int
    steps: list[WorkflowStep]
    env: Mapping
    """The job's own environment."""
    permissions: dict[str, str] | None
    """Effective permissions; None if the default applies."""
    own_permissions: bool
    environment: str | None
    calls: str | None
    matrix: dict[str, list[str]]
    """Static values of the matrix."""
    runs_on: list[str]
    """Labels, including those from the matrix."""
    group: str | None


Guard: TypeAlias = Literal["event", "repository", "person", "label"]
"""``event``: the event does not reach it; ``repository``: only branches of this repository do; ``person``: only users
with write access start it; ``label``: only after a maintainer set a label since the last change."""


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed workflow, the input of all checks."""

    env: Mapping
    triggers: dict[str, list[str]]
    activities: dict[str, list[str]]
    """Event to its ``types:``, if any."""
    permissions: dict[str, str] | None
    permissions_line: int
    permission_lines: dict[str, int]
    """Permission scope to its line, for the workflow's own permissions."""
    lines: list[str]
    """The file's lines, to find expressions in folded scalars."""
    on_line: int
    on_lines: dict[str, int]
    inputs: dict[str, str]
    """Input to its type."""
    jobs: list[RawJob]
    uses: list[Use]
    logins: list[Login]
    secrets: list[Reference]
    composite: bool
    called: bool = False
    """Whether another workflow calls it: ``triggers`` are then the caller's."""
    outer: dict[str, frozenset[Guard]] = {}
    """Event to the guards of the job that calls it."""
    outputs: dict[str, str] = {}
    """Outputs of a called workflow, with their values."""
    passed: dict[str, Severity | None] = {}
    """Inputs whose value the caller computes while it runs, with the danger of that value."""
    other_lines: dict[int, list[str]] = {}
    """Number of a called file to its lines."""
    gates: dict[tuple[str, str], frozenset[Guard]] = msgspec.field(default_factory=dict)
    """Cache: job and event to the guards in the job's own condition."""
    checks: dict[str, int | None] = msgspec.field(default_factory=dict)
    """Cache: job to the position of its first step that checks permissions."""

    def lines_from(self, line: int, most: int = 200) -> list[str]:
        """Return the text of the file that a line belongs to, from that line on."""
        number, within = divmod(line, FILE)
        lines = self.other_lines.get(number, []) if number else self.lines
        return lines[within - 1 : within - 1 + most] if within else []


def split_uses(uses: str) -> tuple[str, str | None]:
    """Return an action without its ref, and the ref."""
    name, _, ref = uses.strip().partition("@")
    return name, ref or None


def pin_of(uses: str, ref: str | None) -> Pin:
    """Return how a ``uses:`` is pinned."""
    if uses.startswith(OWN_PREFIXES):
        return "local"
    if uses.startswith("docker://"):
        return image_pin(f"{uses}@{ref}" if ref else uses)
    if ref is None:
        return "none"
    if "${{" in ref or "${{" in uses:
        return "expression"
    if _SHA.fullmatch(ref):
        return "sha"
    return "tag" if _VERSION.fullmatch(ref) else "branch"


def is_third_party(uses: str, owner: str | None) -> bool:
    """Return whether an action is not GitHub's, not local, and not of the same owner."""
    if uses.startswith(OWN_PREFIXES):
        return False
    return uses.split("/", 1)[0].lower() not in _FIRST_PARTY | {(owner or "").lower()}


def permissions_of(node: Node | None) -> dict[str, str] | None:
    """Return a ``permissions:`` block as scope to level; ``*`` for read-all and write-all; None if absent."""
    if node is None:
        return None
    if isinstance(node, Scalar):
        level = {"read-all": "read", "write-all": "write"}.get(node.text.strip())
        return {"*": level} if level else {}
    return {key.text: value.text for key, value in mapping(node).pairs if isinstance(value, Scalar)}


_MOST_LEVELS = 4


def steps_of(node: Node | None) -> list[WorkflowStep]:
    """Return the steps of a job or composite action, those of ``parallel:`` groups included.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsparallel
    """
    return [_step(item, at) for at, item in enumerate(_step_nodes(node, 0))]


def _step_nodes(node: Node | None, depth: int) -> Iterator[Mapping]:
    for item in items(node):
        if not isinstance(item, Mapping):
            continue
        group = item.get("parallel")
        if isinstance(group, Sequence) and depth < _MOST_LEVELS:
            yield from _step_nodes(group, depth + 1)
        else:
            yield item


def _step(item: Mapping, at: int) -> WorkflowStep:
    uses = text(item.get("uses"))
    name, ref = split_uses(uses) if uses else (None, None)
    run = item.get("run")
    condition = item.get("if")
    return WorkflowStep(
        node=item,
        line=item.line,
        uses=name,
        ref=ref,
        run=run if isinstance(run, Scalar) else None,
        inputs=mapping(item.get("with")),
        env=mapping(item.get("env")),
        condition=condition if isinstance(condition, Scalar) else None,
        at=at,
    )


def job_of(key: Scalar, node: Mapping, workflow_permissions: dict[str, str] | None) -> RawJob:
    """Return a job with its steps."""
    environment = node.get("environment")
    named = text(environment) or text(mapping(environment).get("name")) or None
    own = node.get("permissions")
    calls = text(node.get("uses"))
    matrix = _matrix(mapping(node.get("strategy")).get("matrix"))
    runs_on = node.get("runs-on")
    group = text(mapping(runs_on).get("group")) if isinstance(runs_on, Mapping) else None
    labels = texts(mapping(runs_on).get("labels") if isinstance(runs_on, Mapping) else runs_on)
    return RawJob(
        key=key.text,
        node=node,
        line=key.line,
        steps=steps_of(node.get("steps") or (node if "run" in node else None)),
        env=mapping(node.get("env")),
        permissions=permissions_of(own) if own is not None else workflow_permissions,
        own_permissions=own is not None,
        environment=_environment(named, matrix),
        calls=calls,
        matrix=matrix,
        runs_on=[one for label in labels for value in expand(label, {}, matrix) for one in _labels(value)],
        group=group,
    )


_JSON_LABELS = re.compile(r"\$\{\{\s*fromJSON\(\s*'(?P<list>\[[^']{0,2000}\])'\s*\)\s*\}\}", re.IGNORECASE)


def _labels(label: str) -> list[str]:
    """Return the labels of ``${{ fromJSON('["self-hosted"]') }}``, or the label itself."""
    match = _JSON_LABELS.fullmatch(label.strip())
    return re.findall(r'"([^"]{1,200})"', match["list"]) if match is not None else [label]


def job_of_action(runs: Mapping, steps: list[WorkflowStep]) -> RawJob:
    """Return a composite action as a single job."""
    return RawJob(
        key="action",
        node=runs,
        line=runs.line,
        steps=steps,
        env=mapping(runs.get("env")),
        permissions=None,
        own_permissions=False,
        environment=None,
        calls=None,
        matrix={},
        runs_on=[],
        group=None,
    )


def _environment(named: str | None, matrix: dict[str, list[str]]) -> str | None:
    if named is None or "${{" not in named:
        return named
    values = expand(named, {}, matrix)
    return values[0] if len(values) == 1 and "${{" not in values[0] else "*"


def environments_of(job: RawJob) -> list[str]:
    """Return the environments that the matrix or the caller of a job names; none if one of them is computed."""
    environment = job.node.get("environment")
    named = text(environment) or text(mapping(environment).get("name")) or ""
    values = expand(named, {}, job.matrix)
    return [] if any("${{" in value for value in values) else list(dict.fromkeys(values))


def _matrix(node: Node | None) -> dict[str, list[str]]:
    """Return the scalar values of each key of a static matrix."""
    values: dict[str, dict[str, None]] = {}
    for key, value in mapping(node).pairs:
        if key.text in {"include", "exclude"}:
            continue
        for item in value.items if isinstance(value, Sequence) else []:
            _matrix_values(key.text, item, values)
    for item in items(mapping(node).get("exclude")):
        pairs = mapping(item).pairs
        if len(pairs) == 1 and isinstance(pairs[0][1], Scalar):
            values.get(pairs[0][0].text, {}).pop(pairs[0][1].text, None)
    for item in items(mapping(node).get("include")):
        for key, value in mapping(item).pairs:
            _matrix_values(key.text, value, values)
    return {path: list(found) for path, found in values.items()}


def _matrix_values(path: str, node: Node, values: dict[str, dict[str, None]]) -> None:
    if isinstance(node, Scalar):
        values.setdefault(path, {})[node.text] = None
    elif isinstance(node, Mapping):
        for key, value in node.pairs:
            _matrix_values(f"{path}.{key.text}", value, values)
    else:
        for item in node.items:
            _matrix_values(path, item, values)


def runner_kind(labels: list[str], group: str | None) -> RunnerKind:
    """Return whether a runner is GitHub-hosted or self-hosted, by its labels."""
    if any("self-hosted" in label.lower() and "${{" not in label for label in labels):
        return "self-hosted"
    if labels and all(HOSTED.fullmatch(label.strip()) for label in labels):
        return "hosted"
    return "unknown" if labels or group else "hosted"


def literals(*environments: Mapping) -> dict[str, str]:
    """Return the variables of ``env:`` blocks, the innermost last, as text."""
    return {
        key.text: value.text for env in environments for key, value in env.pairs if isinstance(value, Scalar)
    }


def expand(value: str, env: dict[str, str], matrix: dict[str, list[str]], depth: int = 0) -> list[str]:
    """Return the possible values of a text with ``env.`` and ``matrix.`` substituted; unknown expressions remain. At
    most 20 results, and the first 20 expressions: a role or a name has one or two.
    """
    if "${{" not in value or depth > 4:
        return [value]
    results = [""]
    at = 0
    for number, found in enumerate(expressions(value)):
        if number >= (_MOST_EXPRESSIONS if depth == 0 else 4):
            break
        end = found.start + len(found.body) + 5
        read = [path for path, _ in paths(found.body)]
        choices = [value[found.start : end]]
        if len(read) == 1 and re.fullmatch(r"\s*[\w.-]+\s*", found.body):
            root, _, name = read[0].partition(".")
            if root == "env" and name in env and env[name] != value:
                choices = expand(env[name], env, matrix, depth + 1)
            elif root in {"matrix", "inputs"} and matrix.get(name if root == "matrix" else f"inputs.{name}"):
                name = name if root == "matrix" else f"inputs.{name}"
                choices = [choice for item in matrix[name] for choice in expand(item, env, matrix, depth + 1)]
        head = value[at : found.start]
        results = [f"{result}{head}{choice}" for result in results for choice in choices][:20]
        at = end
    return [result + value[at:] for result in results]


def secret_names(*nodes: Node | None) -> list[str]:
    """Return the names of the secrets that expressions below these nodes read, once each; ``*`` for all."""
    names: dict[str, None] = {}
    for node in nodes:
        for _, scalar in scalars(node):
            if "${{" not in scalar.text:
                continue
            for found in expressions(scalar.text):
                for path, _ in paths(found.body):
                    root, _, name = path.partition(".")
                    if root == "secrets":
                        names["*" if name in {"", "*", "[]"} else name] = None
                    elif path == "github.token":
                        names["GITHUB_TOKEN"] = None
    return list(names)


def walk(node: Node) -> Iterator[Scalar]:
    """Yield the scalars below a node."""
    for _, scalar in scalars(node):
        yield scalar


def listed(names: list[str]) -> str:
    """Return up to four names of secrets for a message."""
    shown = ["every secret" if name == "*" else name for name in names[:4]]
    return ", ".join(shown) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
