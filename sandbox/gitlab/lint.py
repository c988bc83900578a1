"""GitLab's merge of a project's pipeline definition: https://docs.gitlab.com/api/lint/.

Included files are merged, then ``extends`` and ``!reference`` resolved, as GitLab does
(https://docs.gitlab.com/ci/yaml/includes/, https://docs.gitlab.com/ci/yaml/yaml_optimization/). Rules of includes are
evaluated for the default branch if the token may push to it, and without a branch otherwise; without a pipeline source,
tag or schedule.
"""

from __future__ import annotations

import hashlib
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.gitlab.entities import WEB

if TYPE_CHECKING:
    from sandbox.gitlab.instance import Instance
    from sandbox.kit.http import Json

MOST = 150
"""Maximum included files, including nested ones."""
_INPUT = re.compile(r"\$\[\[\s*inputs\.([\w-]+)\s*(?:\|\s*expand_vars\s*)?\]\]")
_GLOBAL = frozenset(("default", "include", "stages", "variables", "workflow", "image", "services", "before_script", "after_script", "cache", "spec"))  # fmt: skip


class _Reference(list[str]):
    """``!reference [job, keyword]``."""


class _Loader(yaml.CSafeLoader):
    pass


def _reference(loader: _Loader, node: yaml.SequenceNode) -> _Reference:
    return _Reference(loader.construct_sequence(node, deep=True))


_Loader.add_constructor("!reference", _reference)


class IncludeError(Exception):
    """A file could not be included, so nothing is merged."""


def commit(number: int) -> str:
    """Return the commit at the head of a project's default branch."""
    return hashlib.sha1(f"gitlab/{number}".encode(), usedforsecurity=False).hexdigest()


def lint(instance: Instance, project: Json, *, pushes: bool) -> Json:
    """Return the answer of ``GET /projects/:id/ci/lint``."""
    path = project["ci_config_path"] or ".gitlab-ci.yml"
    text = instance.files.get(f"{project['id']}/{path}")
    if not text:
        # A definition in another project is not looked up: the project's own repository has no such file.
        return _answer(["Please provide content of .gitlab-ci.yml"], None, None)
    merging = _Merging(instance, project, branch=project["default_branch"] if pushes else None)
    try:
        config = merging.configuration(text, {}, project)
    except (IncludeError, yaml.YAMLError) as exc:
        return _answer([str(exc).splitlines()[0]], None, None)
    config = _with_references(_extended(config))
    visible = [name for name in config if name not in _GLOBAL and not name.startswith(".")]
    errors = [] if visible else ["jobs config should contain at least one visible job"]
    return _answer(errors, config, merging.includes)


def _answer(errors: list[str], config: Json | None, includes: list[Json] | None) -> Json:
    merged = (
        None
        if config is None
        else yaml.dump(config, Dumper=yaml.CSafeDumper, sort_keys=False, explicit_start=True)
    )
    return {
        "valid": not errors,
        "errors": errors,
        "warnings": [],
        "merged_yaml": merged,
        "includes": includes,
    }


class _Merging:
    def __init__(self, instance: Instance, project: Json, branch: str | None) -> None:
        self.includes: list[Json] = []
        self._instance = instance
        self._variables = {
            "CI_SERVER_FQDN": WEB.removeprefix("https://"),
            "CI_SERVER_HOST": WEB.removeprefix("https://"),
            "CI_PROJECT_PATH": project["path_with_namespace"],
            "CI_PROJECT_NAMESPACE": project["namespace"]["full_path"],
            "CI_DEFAULT_BRANCH": project["default_branch"],
        }
        for row in instance.lists.get(f"/projects/{project['id']}/variables", []):
            if not row["protected"] and row["environment_scope"] == "*" and row["value"] is not None:
                self._variables[row["key"]] = row["value"]
        if branch is not None:
            self._variables |= {"CI_COMMIT_BRANCH": branch, "CI_COMMIT_REF_NAME": branch}

    def configuration(self, text: str, inputs: Json, project: Json) -> Json:
        """Return a file's configuration with its includes."""
        documents = [one for one in yaml.load_all(text, _Loader) if one is not None]
        if len(documents) > 1 and "spec" in documents[0]:
            spec = documents[0]["spec"].get("inputs") or {}
            given = {name: (rule or {}).get("default") for name, rule in spec.items()} | inputs
            missing = [name for name, value in given.items() if value is None]
            if missing:
                raise IncludeError(f"`{missing[0]}` input: required value has not been provided")
            config = _interpolated(documents[1], given)
        else:
            config = documents[0] if documents else {}
        result: Json = {}
        statements = config.get("include") or []
        for statement in statements if isinstance(statements, list) else [statements]:
            for included in self._included(statement, project):
                result = _merge(result, included)
        whole: Json = _merge(result, {name: value for name, value in config.items() if name != "include"})
        return whole

    def _included(self, statement: Any, by: Json) -> list[Json]:
        if isinstance(statement, str):
            statement = {"remote" if statement.startswith("http") else "local": statement}
        if not self._passes(statement.get("rules")):
            return []
        found: list[Json] = []
        for text, project, metadata in self._found(statement, by):
            if len(self.includes) >= MOST:
                raise IncludeError(f"Maximum of {MOST} nested includes are allowed!")
            context = {"context_project": by["path_with_namespace"], "context_sha": commit(by["id"])}
            self.includes.append({**metadata, **context})
            found.append(self.configuration(text, statement.get("inputs") or {}, project))
        return found

    def _found(self, statement: Json, by: Json) -> list[tuple[str, Json, Json]]:
        """Return the files of a statement: text, project for local includes, and metadata."""
        if "local" in statement:
            path = self._expanded(statement["local"]).lstrip("/")
            paths = self._matching(by, path) if "*" in path else [path]
            return [
                self._file(by, one, f"Local file `{one}`", {"type": "local", "extra": {}}) for one in paths
            ]
        if "project" in statement:
            return self._of_project(statement)
        if "component" in statement:
            return [self._component(self._expanded(statement["component"]))]
        if "remote" in statement:
            kind, name, held = "remote", statement["remote"], self._instance.remotes
            raw, missing = (
                name,
                f"Remote file `{name}` could not be fetched because of HTTP code `404` error!",
            )
        else:
            kind, name, held = "template", statement["template"], self._instance.templates
            raw = f"{WEB}/gitlab-org/gitlab/-/raw/master/lib/gitlab/ci/templates/{name}"
            missing = f"Template file `{name}` is not a valid location!"
        if name not in held:
            raise IncludeError(missing)
        return [(held[name], by, {"type": kind, "location": name, "blob": None, "raw": raw, "extra": {}})]

    def _of_project(self, statement: Json) -> list[tuple[str, Json, Json]]:
        named = self._expanded(statement["project"]).lower()
        project = self._instance.project_of(named)
        if project is None:
            raise IncludeError(
                f"Project `{named}` not found or access denied! "
                "Make sure any includes in the pipeline configuration are correctly defined."
            )
        files = statement["file"] if isinstance(statement["file"], list) else [statement["file"]]
        extra = {"project": named, "ref": str(statement.get("ref", "HEAD"))}
        paths = [self._expanded(one).lstrip("/") for one in files]
        kind = {"type": "file", "extra": extra}
        return [self._file(project, path, f"Project `{named}` file `{path}`", kind) for path in paths]

    def _component(self, address: str) -> tuple[str, Json, Json]:
        path, _, _version = address.partition("@")
        where, _, name = path.removeprefix(WEB.removeprefix("https://") + "/").rpartition("/")
        project = self._instance.project_of(where)
        for file in (f"templates/{name}.yml", f"templates/{name}/template.yml"):
            if project is not None and f"{project['id']}/{file}" in self._instance.files:
                text, home, metadata = self._file(project, file, "", {"type": "component", "extra": {}})
                return text, home, {**metadata, "location": address, "raw": None}
        raise IncludeError(f"Component '{address}' - content not found")

    def _file(self, project: Json, path: str, named: str, metadata: Json) -> tuple[str, Json, Json]:
        text = self._instance.files.get(f"{project['id']}/{path}")
        if text is None:
            raise IncludeError(f"{named} does not exist!")
        at, web = f"{commit(project['id'])}/{path}", f"{WEB}/{project['path_with_namespace']}/-"
        return (
            text,
            project,
            {**metadata, "location": path, "blob": f"{web}/blob/{at}", "raw": f"{web}/raw/{at}"},
        )

    def _matching(self, project: Json, pattern: str) -> list[str]:
        expression = re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
        prefix = f"{project['id']}/"
        paths = sorted(name.removeprefix(prefix) for name in self._instance.files if name.startswith(prefix))
        return [path for path in paths if re.fullmatch(expression, path)]

    def _expanded(self, text: str) -> str:
        return re.sub(r"\$\{?(\w+)\}?", lambda match: self._variables.get(match[1], ""), text)

    def _passes(self, rules: list[Json] | None) -> bool:
        if rules is None:
            return True
        for rule in rules:
            if "exists" in rule or "changes" in rule:
                continue
            if self._holds(str(rule.get("if", ""))):
                return bool(rule.get("when") != "never")
        return False

    def _holds(self, condition: str) -> bool:
        """Evaluate the conditions used in the estate and the tests: one comparison, or one variable."""
        if not condition:
            return True
        match = re.fullmatch(r"\s*\$(\w+)\s*(?:(==|!=)\s*(?:\"([^\"]*)\"|'([^']*)'|\$(\w+)))?\s*", condition)
        if match is None:
            raise IncludeError(f"include:rules: `{condition}` is not supported by this sandbox")
        value = self._variables.get(match[1])
        if match[2] is None:
            return bool(value)
        other = self._variables.get(match[5]) if match[5] else match[3] if match[3] is not None else match[4]
        return (value == other) == (match[2] == "==")


def _merge(above: Any, below: Any) -> Any:
    if not isinstance(above, dict) or not isinstance(below, dict):
        return below
    return above | {key: _merge(above[key], value) if key in above else value for key, value in below.items()}


def _interpolated(value: Any, inputs: Json) -> Any:
    if isinstance(value, str):
        alone = _INPUT.fullmatch(value.strip())
        if alone:
            return deepcopy(inputs[alone[1]])
        return _INPUT.sub(lambda match: str(inputs[match[1]]), value)
    if isinstance(value, _Reference):
        return value
    if isinstance(value, list):
        return [_interpolated(item, inputs) for item in value]
    if isinstance(value, dict):
        return {_interpolated(key, inputs): _interpolated(item, inputs) for key, item in value.items()}
    return value


def _extended(config: Json) -> Json:
    """Return jobs with ``extends`` resolved. The keyword is kept, as in GitLab's answer."""

    def one(name: str, seen: tuple[str, ...]) -> Any:
        job = config[name]
        if not isinstance(job, dict) or "extends" not in job:
            return job
        parents = job["extends"] if isinstance(job["extends"], list) else [job["extends"]]
        result: Any = {}
        for parent in parents:
            if parent not in config or parent in seen:
                raise IncludeError(f"{name}: unknown keys in `extends` ({parent})")
            result = _merge(result, one(parent, (*seen, name)))
        return _merge({key: value for key, value in result.items() if key != "extends"}, job)

    return {name: one(name, ()) for name in config}


def _with_references(config: Json) -> Json:
    def resolved(value: Any, depth: int) -> Any:
        if isinstance(value, _Reference):
            found: Any = config
            for part in value:
                found = found[part] if isinstance(found, dict) and part in found else None
            if found is None or depth > 10:
                raise IncludeError(f"!reference {list(value)} could not be found")
            return resolved(found, depth + 1)
        if isinstance(value, list):
            return [resolved(item, depth) for item in value]
        if isinstance(value, dict):
            return {key: resolved(item, depth) for key, item in value.items()}
        return value

    return {name: resolved(value, 0) for name, value in config.items()}
