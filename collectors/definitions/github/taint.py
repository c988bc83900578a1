"""Taint analysis: who controls the value of an expression in a GitHub workflow, through variables, matrices and
outputs.

Outputs are followed as far as the file shows them: https://docs.github.com/en/actions/reference/security/secure-use#use-an-action-instead-of-an-inline-script
explains why an output is as dangerous as its input.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.github.checkouts import fetches_untrusted_files
from collectors.definitions.github.conditions import reached
from collectors.definitions.github.expressions import expressions, is_safe_field, paths, taint
from collectors.definitions.github.script_outputs import Written, flow
from collectors.definitions.github.steps import PRIVILEGED, RawJob, Workflow, WorkflowStep, expand, literals
from collectors.definitions.yaml_nodes import Scalar, mapping, text

if TYPE_CHECKING:
    from scanner.records import Severity

_RANK: dict[Severity, int] = {"critical": 0, "high": 1, "medium": 2, "low": 3, "info": 4}
_FLAGS = re.compile(
    r"\s*(?:!|(?:hashFiles|contains|startsWith|endsWith|success|failure|always|cancelled)\s*\()[^&|]*"
)
_COMPARISON = re.compile(r"(?:[^&|]*(?:==|!=|<|>)[^&|]*)(?:(?:&&|\|\|)[^&|]*(?:==|!=|<|>)[^&|]*)*")
_CHOICE = re.compile(r"[^|]*&&\s*(?:'[^']*'|\d+)\s*\|\|\s*(?:'[^']*'|\d+)\s*")
_FIELD = re.compile(
    r"(?i)fromjson\(\s*(?P<output>(?:steps|needs)\.[\w.-]+|env\.\w+)\s*\)\s*(?P<field>(?:\.[\w*-]+|\[[^\]]*\])+)"
)
_DEEPEST = 12
_STRANGERS = PRIVILEGED | {"pull_request", "fork", "watch", "gollum", "merge_group"}
_UNTRUSTED_OUTPUTS = re.compile(
    r"(?:changed-?files|files-?changed|get-?changed|modified-?files|file-?changes|list-?files|file-?list|paths-filter|branch-?names?|"
    r"comment-branch|pr-refs|slash-command|comment-trigger|command-dispatch|pull-request-number-and-branch|get-current-pr|pr-branch|"
    r"get-(?:current-)?pull-?request|commit-message|get-commit|get-diff|diff-action|files-in-commit|"
    r"(?:issue|comment|pr|pull-request)-?(?:body|title|form|ops)?-?pars|find-comment|find-current-pr|get-comment|issue-form)"
)
"""Actions whose outputs contain file names, branch names or text from the author of the pull request."""
_SAFE_OUTPUT = re.compile(
    r"(?i)(?:^|[_-])(?:any|count|number|sha|id|any_changed|any_modified|is_\w{1,100}|has_\w{1,100}|only_\w{1,100}|changes|\w{1,100}_count|triggered|found|permission|default|base\w{0,100})$"
)
_PASS_THROUGH = re.compile(
    r"(?:replace|regex|sub-?string|string|trim|concat|slug|change-case|to-?(?:lower|upper)|match|extract|parse|read-json|json-?path|property|set-output|set-env|echo)"
)
"""Actions that return a part of their input."""
_ANSWERS = frozenset(("octokit/request-action", "octokit/graphql-action"))
_PAYLOAD = re.compile(
    r"(?:context\.payload|\bdata|\bpr|\bpull(?:_?[rR]equest)?|\bissue|\bcomment|\bheadCommit|head_commit)\b[\w.?\[\]'\"]*\."
    r"(?:title|body|message|head_branch|label|display_title|head\??\.(?:ref|label))\b|\bhead_?[rR]ef\b"
)
_RETURNS = re.compile(r"\breturn\b(?P<value>[^\n;]*)")
_SET_OUTPUT = re.compile(r"setOutput\(\s*['\"](?P<name>[\w-]+)['\"]\s*,(?P<value>[^\n]*)")


def worse(*levels: Severity | None) -> Severity | None:
    """Return the highest of the severities; None if there is none."""
    return min((level for level in levels if level is not None), key=_RANK.__getitem__, default=None)


class Taint:
    """Evaluates the expressions of one workflow. Results for steps are cached."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._written: dict[int, Written] = {}
        self._open: set[int] = set()
        self._layouts: dict[int, _Layout] = {}
        self._jobs = {job.key: job for job in workflow.jobs}
        self.called: dict[str, Taint] = {}
        """Job to the workflow that it calls, if that was read."""
        self._started_by_outsiders = workflow.composite or bool(
            (_STRANGERS | {"workflow_call"}) & set(workflow.triggers)
        )

    def worst(
        self, job: RawJob, env: dict[str, str], body: str, at: WorkflowStep | None = None, depth: int = 0
    ) -> tuple[Severity, str] | None:
        """Return the most dangerous path that an expression reads, with its severity."""
        found: tuple[Severity, str] | None = None
        if _FLAGS.fullmatch(body) or _CHOICE.fullmatch(body) or _COMPARISON.fullmatch(body):
            return None  # a boolean or one of two literal texts, regardless of its input
        fields = {match["output"].lower(): match["field"] for match in _FIELD.finditer(body)}
        for path, _ in paths(body):
            field = fields.get(path.lower())
            if field is not None and is_safe_field(field):
                continue
            level = self._path(job, env, path, at, depth)
            if level is not None and (found is None or _RANK[level] < _RANK[found[0]]):
                found = (level, path)
        return found

    def text(
        self, job: RawJob, env: dict[str, str], value: str, at: WorkflowStep | None = None, depth: int = 0
    ) -> Severity | None:
        """Return the severity of a text with expressions in it."""
        levels = [self.worst(job, env, found.body, at, depth) for found in expressions(value)]
        return worse(*(level[0] for level in levels if level is not None))

    def written(self, job: RawJob, step: WorkflowStep) -> Written:
        """Return the outputs and variables that a step's script writes, with their severity."""
        return self._run(job, step, 0)

    def _path(
        self, job: RawJob, env: dict[str, str], path: str, at: WorkflowStep | None, depth: int
    ) -> Severity | None:
        if depth > _DEEPEST:
            return None
        root, _, name = path.partition(".")
        kind = taint(path)
        if kind == "none":
            return None
        if root == "inputs" or path.startswith("github.event.inputs."):
            name = path.rsplit(".", 1)[-1]
            if name in self._workflow.passed:
                return self._workflow.passed[name]
            if self._workflow.inputs.get(name) in {"boolean", "number", "choice", "environment"}:
                return None
            called = self._workflow.composite or "workflow_call" in self._workflow.triggers
            return "medium" if called else "low"
        if root == "env":
            return self._variable(job, env, name, at, depth)
        if root == "matrix":
            return self._matrix(job, env, name, at, depth)
        if root == "steps":
            return self._output(job, name, depth)
        if root == "needs":
            return self._needed(name, depth)
        if root == "jobs":
            return self._needed(name, depth)
        if path == "github.event.workflow_run.head_branch" and self._fixed_branches("workflow_run"):
            return None
        if kind == "outsider":
            return "high"
        return "medium" if kind == "collaborator" else "low"

    def _fixed_branches(self, event: str) -> bool:
        refs = self._workflow.triggers.get(event, [])
        return bool(refs) and not any("*" in ref for ref in refs)

    def _variable(
        self, job: RawJob, env: dict[str, str], name: str, at: WorkflowStep | None, depth: int
    ) -> Severity | None:
        value = env.get(name)
        if value is not None:
            levels = [
                self.text(job, {key: v for key, v in env.items() if key != name}, made, at, depth + 1)
                for made in expand(value, env, job.matrix)
                if "${{" in made
            ]
            return worse(*levels)
        found: Severity | None = None
        known = False
        layout = self._layout(job)
        before = layout.places.get(id(at), len(job.steps))
        for place, step in layout.setting:
            if place >= before:
                break
            written = self._run(job, step, depth + 1)
            if name in written.variables:
                known = True
                found = worse(found, written.variables[name])
        if known:
            return found
        unseen = self._workflow.composite or any(
            "/" in (step.uses or "") and not step.action.startswith(("actions/", "github/"))
            for step in job.steps[:before]
        )
        return "info" if unseen else None

    def _matrix(
        self, job: RawJob, env: dict[str, str], name: str, at: WorkflowStep | None, depth: int
    ) -> Severity | None:
        values = job.matrix.get(name)
        if values is None and any(key.startswith(f"{name}.") for key in job.matrix):
            return None
        if values is not None:
            return worse(
                *(self.text(job, env, value, at, depth + 1) for value in values if "matrix." not in value)
            )
        table = mapping(job.node.get("strategy")).get("matrix")
        computed = table if isinstance(table, Scalar) else mapping(table).get(name.split(".", 1)[0])
        if not isinstance(computed, Scalar):
            return "low"
        return worse(self.text(job, env, computed.text, at, depth + 1), "low")

    def _needed(self, name: str, depth: int) -> Severity | None:
        key, _, rest = name.partition(".")
        kind, _, output = rest.partition(".")
        job = self._jobs.get(key)
        if job is None or kind != "outputs":
            return None
        if key in self.called:
            return self.called[key].output(output, depth + 1)
        outputs = mapping(job.node.get("outputs"))
        wanted = outputs.pairs if not output or output == "*" else [(None, outputs.get(output))]
        env = literals(self._workflow.env, job.env)
        return worse(
            *(
                self.text(job, env, value.text, None, depth + 1)
                for _, value in wanted
                if isinstance(value, Scalar)
            )
        )

    def output(self, name: str, depth: int) -> Severity | None:
        """Return the severity of an output of a called workflow; of all, if no name is given."""
        if not self._workflow.jobs:
            return None
        values = [value for key, value in self._workflow.outputs.items() if name in {"", "*", key}]
        return worse(*(self.text(self._workflow.jobs[0], {}, value, None, depth) for value in values))

    def _output(self, job: RawJob, name: str, depth: int) -> Severity | None:
        key, _, rest = name.partition(".")
        kind, _, output = rest.partition(".")
        step = self._layout(job).ids.get(key)
        if step is None or not (kind == "outputs" or kind in {"", "*"}):
            return None
        if step.outputs is not None:
            made = [value for key, value in step.outputs.items() if output in {"", "*", key}]
            return worse(*(self.text(job, {}, value, None, depth + 1) for value in made))
        if step.run is not None:
            outputs = self._run(job, step, depth).outputs
            return outputs.get(output) if output and output != "*" else worse(*outputs.values())
        return self._action_output(job, step, output, depth)

    def _action_output(self, job: RawJob, step: WorkflowStep, output: str, depth: int) -> Severity | None:
        high: Severity = "high" if self._started_by_outsiders else "low"
        if step.action == "actions/github-script":
            return self._script_output(job, step, output, depth)
        if step.action in _ANSWERS:
            return high if output == "data" else None
        if _UNTRUSTED_OUTPUTS.search(step.action):
            return None if _SAFE_OUTPUT.search(output) else high
        env = literals(self._workflow.env, job.env, step.env)
        given = worse(
            *(
                self.text(job, env, value.text, step, depth + 1)
                for _, value in step.inputs.pairs
                if isinstance(value, Scalar) and "${{" in value.text
            )
        )
        if given is None or _PASS_THROUGH.search(step.action.partition("/")[2]):
            return given
        return "info" if _RANK[given] <= _RANK["medium"] else None

    def _script_output(self, job: RawJob, step: WorkflowStep, output: str, depth: int) -> Severity | None:
        script = step.input("script")
        if script is None:
            return None
        source = script.text[:50_000]
        wanted = _RETURNS if output == "result" else _SET_OUTPUT
        values = [
            match["value"]
            for match in wanted.finditer(source)
            if wanted is _RETURNS or match["name"] == output
        ]
        pasted = worse(
            *(
                self.text(job, literals(self._workflow.env, job.env, step.env), value, step, depth + 1)
                for value in values
                if "${{" in value
            )
        )
        shown = any(_PAYLOAD.search(value) or _WHOLE.search(value) for value in values)
        if not shown:
            names = {word for value in values for word in re.findall(r"[A-Za-z_]\w+", value)}
            shown = any(
                match["name"] in names and (_PAYLOAD.search(match["value"]) or _WHOLE.search(match["value"]))
                for match in _ASSIGNED.finditer(source)
            )
        return worse(pasted, ("high" if self._started_by_outsiders else "low") if shown else None)

    def _run(self, job: RawJob, step: WorkflowStep, depth: int) -> Written:
        known = self._written.get(id(step.node))
        if known is not None:
            return known
        if step.run is None or id(step.node) in self._open or depth > _DEEPEST:
            return Written()
        if not any(
            word in step.run.text
            for word in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "::set-", "::add-path")
        ):
            return Written()  # fmt: skip
        self._open.add(id(step.node))
        env = literals(self._workflow.env, job.env, step.env)
        variables = {
            name: level
            for name, value in env.items()
            if "${{" in value and (level := self.text(job, env, value, step, depth + 1)) is not None
        }
        made = flow(
            step.run.text,
            variables,
            lambda body: (found := self.worst(job, env, body, step, depth + 1)) and found[0],
            fetched="high" if self._started_by_outsiders else "low",
            files="high" if self._untrusted_files(job, step) else None,
        )
        self._open.discard(id(step.node))
        self._written[id(step.node)] = made
        return made

    def _untrusted_files(self, job: RawJob, at: WorkflowStep) -> bool:
        """Return whether untrusted files are in the job's working directory when a step starts, in a privileged run."""
        layout = self._layout(job)
        return layout.foreign is not None and layout.foreign <= layout.places.get(id(at), -1)

    def _layout(self, job: RawJob) -> _Layout:
        known = self._layouts.get(id(job))
        if known is None:
            risky = self._workflow.composite or bool(reached(self._workflow, job))
            places = enumerate(job.steps) if risky else []
            known = self._layouts[id(job)] = _Layout(
                job,
                next((at for at, step in places if fetches_untrusted_files(self._workflow, job, step)), None),
            )
        return known


class _Layout:
    """Positions of a job's steps: by id, those that set variables, and the first that fetches untrusted files."""

    def __init__(self, job: RawJob, foreign: int | None) -> None:
        self.places = {id(step): at for at, step in enumerate(job.steps)}
        self.ids = {name: step for step in job.steps if (name := text(step.node.get("id"))) is not None}
        self.setting = [(at, step) for at, step in enumerate(job.steps) if step.run is not None and ("GITHUB_ENV" in step.run.text or "::set-env" in step.run.text)]  # fmt: skip
        self.foreign = foreign


_WHOLE = re.compile(r"\.data\s*;?\s*$|\bJSON\.stringify\(|\bcontext\.payload\s*;?\s*$")
_ASSIGNED = re.compile(
    r"(?:const|let|var)\s+\{?\s*(?P<name>[A-Za-z_]\w*)[^=\n]{0,80}=(?P<value>[^\n]{0,2000})"
)
