"""The jobs of a GitLab pipeline: where and when they run, their sign-ins, and weaknesses in their scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.builder import text_at
from collectors.definitions.definition import Job, JobRunner, Login, Unresolved
from collectors.definitions.gitlab.logins import id_token_logins, vault_secrets
from collectors.definitions.gitlab.variables import MOST_RULES, flat
from collectors.definitions.shell.variables import Shell, fill
from collectors.definitions.yaml_nodes import Mapping, Scalar, boolean, items, mapping, text, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.builder import DefinitionBuilder
    from collectors.definitions.gitlab.templates import ResolvedJobs
    from collectors.definitions.yaml_nodes import Node

SCRIPTS = ("before_script", "script", "after_script")
_DEFAULTS = frozenset(("before_script", "after_script", "hooks", "id_tokens", "identity", "tags"))
"""The keywords read here that a job inherits from ``default:``; scripts also from the top level."""
_BRANCH_RULE = re.compile(
    r"\$CI_COMMIT_(?:BRANCH|REF_NAME)\s*==\s*(?:[\"'](?P<name>[^\"']+)[\"']|(?P<default>\$CI_DEFAULT_BRANCH))"
)
_TAG_RULE = re.compile(r"\s*\$CI_COMMIT_TAG\b")
_UNTRUSTED = re.compile(
    r"(?:\beval\b|\b(?:ba|z)?sh\s+-c\b|\bpython3?\s+-c\b)[^\n]*\$\{?CI_(?:COMMIT_(?:MESSAGE|TITLE|DESCRIPTION|REF_NAME|BRANCH|TAG|AUTHOR)|"
    r"MERGE_REQUEST_(?:TITLE|DESCRIPTION|SOURCE_BRANCH_NAME|LABELS))"
)
INPUT = re.compile(r"\$\[\[\s*inputs\.(?P<name>[\w-]+)")


def values_that_read(node: Node | None) -> Iterator[tuple[str, Scalar]]:
    """Yield the variables whose value reads others, by name."""
    for key, value in mapping(node).pairs:
        scalar = mapping(value).get("value") if isinstance(value, Mapping) else value
        if isinstance(scalar, Scalar) and "$" in scalar.text:
            yield key.text, scalar


def _inherited(resolved_jobs: ResolvedJobs, job: Mapping, keyword: str) -> Node | None:
    """Return a keyword of a job, or its inherited value: https://docs.gitlab.com/ci/yaml/#inherit."""
    if keyword in job or keyword not in _DEFAULTS or "trigger" in job:
        return job.get(keyword)  # a trigger job runs no script itself
    inherit = mapping(job.get("inherit")).get("default")
    if inherit is not None and boolean(inherit) is not True and keyword not in texts(inherit):
        return None
    found = mapping(resolved_jobs.get("default")).get(keyword)
    return resolved_jobs.get(keyword) if found is None and keyword in SCRIPTS else found


def read_job(
    out: DefinitionBuilder, key: Scalar, node: Mapping, resolved_jobs: ResolvedJobs, env: dict[str, str]
) -> None:
    """Record the content of a job, with its initial variables."""
    name = key.text
    environment = text(node.get("environment")) or text_at(node, "environment", "name")
    shown = fill(environment, env) if environment else environment
    if shown and "$" in shown:
        shown = "*"
        out.unresolved.append(Unresolved(line=key.line, what=f"the environment of `{name}` is computed"))
    debug_switches(out, node.get("variables"), name)
    images(out, node, name)
    tokens = mapping(_inherited(resolved_jobs, node, "id_tokens"))
    own = [key.text for key, _ in tokens.pairs]
    google = text(_inherited(resolved_jobs, node, "identity")) == "google_cloud"
    # A token issued for the job is not a stored secret.
    shell = Shell(
        {**env, **dict.fromkeys([*own, *(given.text for given, _ in mapping(node.get("secrets")).pairs)], "")}
    )
    for given, scalar in values_that_read(node.get("variables")):
        out.reads(scalar, job=name, shell=shell, environment=shown, under=given)
    shell.assign(((given, value) for given, value in env.items() if value != f"${given}"), macros=False)
    hooks = mapping(_inherited(resolved_jobs, node, "hooks")).get("pre_get_sources_script")
    scripts = resolved_jobs.lines(hooks)
    for part in SCRIPTS:
        scripts = [*scripts, *resolved_jobs.lines(_inherited(resolved_jobs, node, part))]
    for item in items(node.get("run")):
        scripts = [*scripts, *resolved_jobs.lines(mapping(item).get("script"))]
        called = text(mapping(item).get("step")) or text(mapping(item).get("func"))
        if called is not None:
            out.unresolved.append(Unresolved(line=item.line, what=f"the step {called} in job `{name}`"))
    for scalar in scripts:
        out.script(scalar, job=name, shell=shell, environment=shown)
        injections(out, scalar, name)
    whole = "\n".join(scalar.text for scalar in scripts)
    id_token_logins(out, key, tokens, whole, env=env, environment=shown)
    vault_secrets(out, name, node, shown)
    if google:
        out.logins.append(
            Login(service="gcp", how="oidc", line=key.line, job=name, environment=shown, token_allowed=True)
        )
    out.static_logins(shell, key.line, job=name, environment=shown)
    tags = texts(_inherited(resolved_jobs, node, "tags"))
    hosted = bool(tags) and all(re.match(r"saas-|gitlab-org", tag) for tag in tags)
    out.jobs.append(
        Job(
            name=name,
            line=key.line,
            runner=JobRunner(kind="hosted" if hosted else "unknown", labels=tags),
            environment=shown,
            identity_token=bool(own) or google,
            refs=_refs(node),
        )
    )


def images(out: DefinitionBuilder, node: Mapping, job: str | None) -> None:
    """Record the images of a job or of a whole pipeline, with the variables passed to them."""
    parts = [node.get("image"), *items(node.get("services"))]
    for part in parts:
        if part is None:
            continue
        image = text(part) or text_at(part, "name")
        if image and not image.startswith("$"):
            out.image(image, part.line, job)
        out.values(mapping(part).get("variables"), job)


def _refs(node: Mapping) -> list[str]:
    """Return the git refs on which a job runs, if its rules state them literally; empty for any."""
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


def debug_switches(out: DefinitionBuilder, node: Node | None, job: str | None) -> None:
    """Record variables that make jobs print all variables:
    https://docs.gitlab.com/ci/variables/#enable-debug-logging.
    """
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


def injections(out: DefinitionBuilder, scalar: Scalar, job: str) -> None:
    """Record where a script runs external text as code."""
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
        given = INPUT.search(line)
        if given is not None:
            out.problem(
                "template-injection",
                start + number,
                f"the input `{given['name']}` is expanded into the script before it runs",
                severity="low",
                fix="Pass the input through `variables:` and use the quoted variable.",
                job=job,
            )
