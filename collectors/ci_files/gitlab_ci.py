"""``.gitlab-ci.yml`` -> `Definition`.

Syntax: https://docs.gitlab.com/ci/yaml/. A job gets every CI variable of its project and groups whose scope and
protection fit, named in the file or not: the variables listed here are those that the file reads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from collectors.ci_files.definition import DefinitionError, Job, Login, Runner, Use
from collectors.ci_files.gathered import Gathered, text_at
from collectors.ci_files.gitlab_logins import id_token_logins, vault_secrets
from collectors.ci_files.gitlab_templates import Scripts, Templates
from collectors.ci_files.shell import Shell
from collectors.ci_files.yaml_nodes import (
    Mapping,
    Scalar,
    boolean,
    items,
    mapping,
    read,
    text,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.ci_files.definition import Definition, Pin
    from collectors.ci_files.yaml_nodes import Node
    from scanner.detectors import Fingerprint

_RESERVED = frozenset(
    ("default", "include", "stages", "variables", "workflow", "image", "services", "before_script", "after_script", "cache", "spec", "types")
)  # fmt: skip
_SCRIPTS = ("before_script", "script", "after_script")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_VERSION = re.compile(r"v?\d+(?:\.\d+)*[\w.+-]*")
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
    """Read a pipeline definition. Raises `DefinitionError`."""
    documents = read(source)
    document = documents[-1] if documents else None
    if document is None or not isinstance(document.root, Mapping):
        raise DefinitionError("malformed", "the file is not a mapping")
    root = document.root
    out = Gathered(path, "gitlab-ci", fingerprint)
    variables = out.values(root.get("variables"), None)
    for given, scalar in _values(root.get("variables")):
        out.reads(scalar, job=None, shell=Shell(variables), scope="workflow", under=given)
    _debug(out, root.get("variables"), None)
    _includes(out, root.get("include"), owner)
    default = mapping(root.get("default"))
    for holder in (root, default):
        _images(out, holder, None)
    triggers: dict[str, list[str]] = {}
    templates = Templates(root, out)
    unfolded = Scripts(root)
    for key, node in root.pairs:
        if key.text in _RESERVED or not isinstance(node, Mapping):
            continue
        merged = templates.merged(key, node)
        if key.text.startswith("."):
            # A template: jobs that extend it are read with what it gives; its own values count once.
            out.values(node.get("variables"), key.text)
            continue
        _job(out, key, merged, unfolded, variables)
    for job in out.jobs:
        for ref in job.refs:
            if ref not in triggers.setdefault("push", []):
                triggers["push"].append(ref)
    if any(not job.refs for job in out.jobs):
        triggers["push"] = []
    return out.definition(name=text_at(root, "workflow", "name"), document=document, triggers=triggers)


def _job(out: Gathered, key: Scalar, node: Mapping, unfolded: Scripts, variables: dict[str, str]) -> None:
    root = unfolded.root
    name = key.text
    environment = text(node.get("environment")) or text_at(node, "environment", "name")
    shown = "*" if environment and "$" in environment else environment
    if shown == "*":
        out.indirect.append(f"line {key.line}: the environment of `{name}` is computed")
    own_values = out.values(node.get("variables"), name)
    for rule in items(node.get("rules")):
        out.values(mapping(rule).get("variables"), name)
    for cell in items(mapping(node.get("parallel")).get("matrix")):
        out.values(cell, name)
    env = {**variables, **own_values}
    _debug(out, node.get("variables"), name)
    _images(out, node, name)
    runs = "trigger" not in node  # a job that starts another pipeline runs nothing itself
    tokens = mapping(node.get("id_tokens") or (_default(root, node, "id_tokens") if runs else None))
    google = text(node.get("identity") or _default(root, node, "identity")) == "google_cloud"
    own = [key.text for key, _ in tokens.pairs]
    # A token that the job is given is no stored secret.
    shell = Shell(
        {**env, **dict.fromkeys([*own, *(k.text for k, _ in mapping(node.get("secrets")).pairs)], "")}
    )
    for given, scalar in _values(node.get("variables")):
        out.reads(scalar, job=name, shell=shell, environment=shown, under=given)
    shell.hand(env.items(), macros=False)
    scripts: list[Scalar] = []
    hooks = mapping(node.get("hooks") or _default(root, node, "hooks"))
    for part in (
        hooks.get("pre_get_sources_script"),
        *(node.get(part) or root.get(part) or _default(root, node, part) for part in _SCRIPTS),
    ):
        scripts += unfolded.lines(part)
    for item in items(node.get("run")):
        scripts += unfolded.lines(mapping(item).get("script"))
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
    trigger = node.get("trigger")
    if trigger is not None:
        where = text(trigger) or text_at(trigger, "project") or "a child pipeline"
        out.indirect.append(f"line {key.line}: `{name}` triggers {where}")
        for item in items(mapping(trigger).get("include")):
            _include(out, item, None)
    tags = texts(node.get("tags") or _default(root, node, "tags"))
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


def _values(node: Node | None) -> Iterator[tuple[str, Scalar]]:
    for key, value in mapping(node).pairs:
        scalar = mapping(value).get("value") if isinstance(value, Mapping) else value
        if isinstance(scalar, Scalar) and "$" in scalar.text:
            yield key.text, scalar


def _default(root: Mapping, node: Mapping, key: str) -> Node | None:
    """Return what a job takes from ``default:``: https://docs.gitlab.com/ci/yaml/#inheritdefault."""
    inherit = mapping(node.get("inherit")).get("default")
    if inherit is not None and boolean(inherit) is not True and key not in texts(inherit):
        return None
    return mapping(root.get("default")).get(key)


def _images(out: Gathered, node: Mapping, job: str | None) -> None:
    parts = [node.get("image"), *items(node.get("services"))]
    for part in parts:
        if part is None:
            continue
        image = text(part) or text_at(part, "name")
        if image and not image.startswith("$"):
            out.image(image, part.line, job)
        out.values(mapping(part).get("variables"), job)


def _includes(out: Gathered, node: Node | None, owner: str | None) -> None:
    for item in items(node):
        _include(out, item, owner)


def _include(out: Gathered, item: Node, owner: str | None) -> None:
    settings = mapping(item)
    short = text(item)
    remote = text(settings.get("remote")) or (short if short and short.startswith("http") else None)
    project, component = text(settings.get("project")), text(settings.get("component"))
    ref: str | None
    pin: Pin
    if project is not None:
        ref = text(settings.get("ref"))
        name, pin = project, _pin(ref)
        own = project.split("/", 1)[0] == owner
        _use(out, "include", name, ref=ref, pin=pin, third_party=not own, line=item.line)
    elif component is not None:
        name, _, version = component.partition("@")
        own = "$CI_SERVER_FQDN" in name and owner is not None and f"/{owner}/" in name
        _use(
            out,
            "component",
            name,
            ref=version or None,
            pin=_pin(version or None),
            third_party=not own,
            line=item.line,
        )
    elif remote is not None:
        pin = "sha" if settings.get("integrity") is not None else "none"
        _use(out, "include", remote, ref=None, pin=pin, third_party=True, line=item.line)
    else:
        named = text(settings.get("local")) or text(settings.get("template")) or short
        if named is None:
            return
        _use(out, "include", named, ref=None, pin="local", third_party=False, line=item.line)
    out.indirect.append(f"line {item.line}: includes {project or component or remote or named}")


def _use(
    out: Gathered,
    kind: Literal["include", "component"],
    name: str,
    *,
    ref: str | None,
    pin: Pin,
    third_party: bool,
    line: int,
) -> None:
    out.uses.append(Use(kind=kind, name=name, ref=ref, pin=pin, third_party=third_party, line=line))
    if pin in {"none", "branch", "tag"}:
        out.problem(
            "unpinned-include",
            line,
            f"includes {name}{'@' + ref if ref else ''} by {'nothing fixed' if pin == 'none' else 'a ' + pin}: its owner can change this pipeline",
            severity="high" if third_party and pin != "tag" else "low",
            fix="Pin the include to a full commit SHA (`ref:`), or a remote file with `integrity:`.",
        )


def _pin(ref: str | None) -> Pin:
    if ref is None:
        return "none"
    if "$" in ref:
        return "expression"
    if _SHA.fullmatch(ref):
        return "sha"
    return "tag" if _VERSION.fullmatch(ref) else "branch"


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
    rules = node.get("rules")
    refs = []
    for rule in items(rules):
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
                f"{key.text} prints every variable of the job, secrets included, to the log",
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
                "a text that whoever pushes or opens a merge request writes is run as code",
                severity="high",
                fix="Use the variable, quoted, as an argument; never with eval or sh -c.",
                job=job,
            )
        given = _INPUT.search(line)
        if given is not None:
            out.problem(
                "template-injection",
                start + number,
                f"the input `{given['name']}` is pasted into the script before it runs",
                severity="low",
                fix="Put the input into `variables:` and use the variable, quoted.",
                job=job,
            )
