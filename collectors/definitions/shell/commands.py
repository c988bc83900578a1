"""Recognizes deployments and uses of secrets in a shell script, without running it.

Commands: https://docs.aws.amazon.com/cli/latest/reference/, https://kubernetes.io/docs/reference/kubectl/,
https://cloud.google.com/sdk/gcloud/reference/run/deploy, https://learn.microsoft.com/cli/azure/webapp.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.shell.sign_ins import literals
from collectors.definitions.shell.words import MAX_LINE, MAX_SCRIPT, commands, is_computed, option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scanner.secrets.detectors import Fingerprint, Seen

__all__ = [
    "MAX_LINE",
    "MAX_SCRIPT",
    "deploy_targets",
    "ecs_service",
    "hard_coded",
    "lambda_function",
    "pipes_download_into_shell",
]

_ASSIGNMENT = re.compile(
    r"(?:^|[;&|\s\"'])(?:export\s+|set\s+|ENV\s+|declare\s+-x\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]{2,80})=(?P<quote>[\"']?)(?P<value>[^\s\"';&|]{3,4000})(?P=quote)"
)
_POWERSHELL = re.compile(
    r"\$(?:env:)?(?P<name>[A-Za-z_]\w{2,80})\s*=\s*(?P<quote>[\"'])(?P<value>[^\"'\n]{3,4000})(?P=quote)"
)
_OPTION = re.compile(
    r"(?:^|\s)--?(?P<name>(?:[a-z]+-)?(?:password|passwd|passphrase|storepass|keypass|secret-string|token|secret|api-key|apikey|access-key|secret-key|client-secret|auth-token))[ =](?P<quote>[\"']?)(?P<value>[^\s\"';&|-][^\s\"';&|]{2,4000})(?P=quote)"
)
_MOUNTED = re.compile(r"(?:id|type|src|source|env|target)=")
"""``--secret id=...`` of a docker build names a mount."""
_HINT = re.compile(r"[A-Za-z0-9_-]{20}|://|-----BEGIN|[Pp]assword|PASSWORD")
"""A pattern that every token matches; lines without it are not examined further."""
_DEPLOYING = re.compile(r"\b(?:aws|kubectl|oc|helm|gcloud|az|func|ecs-deploy)\b")
_CURL_SHELL = re.compile(
    r"\b(?:curl|wget)\b[^|;&\n]{0,2000}\|\s*(?:sudo\s+(?:-\w+\s+){0,6})?(?:ba|z|k|da)?sh\b|\b(?:ba|z)?sh\s+(?:-\w+\s+){0,6}[\"']?(?:<\(|\$\()\s*(?:curl|wget)\b|"
    r"(?i:\b(?:iex|Invoke-Expression)\b[^\n]{0,80}(?:DownloadString|iwr|irm|Invoke-WebRequest|Invoke-RestMethod))|"
    r"(?i:\b(?:iwr|irm|Invoke-WebRequest|Invoke-RestMethod|DownloadString)\b[^|;&\n]{0,2000}\|\s*(?:iex|Invoke-Expression)\b)|"
    r"\b(?:curl|wget)\b[^|;&\n]{0,2000}\|\s*(?:sudo\s+(?:-\w+\s+){0,6})?(?:python3?|perl|php|node|ruby)(?=\s*$|\s+-\s*$|\s+-\s|\s*[;&|])|"
    r"\bsource\s+<\(\s*curl\b|\bdeno\s+(?:run|install)\s+(?:-A|--allow-all)\b[^\n]{0,2000}https://"
)
_FETCHERS = ("curl", "wget", "iex", "iwr", "irm", "Invoke-", "deno", "DownloadString")
_FIXED_FILE = re.compile(
    r"https://(?:raw\.githubusercontent\.com/[^/\s]+/[^/\s]+|github\.com/[^/\s]+/[^/\s]+/raw)/[0-9a-f]{40}/"
)
_FETCH_AND_RUN = re.compile(r"\b(?:curl|wget)\b[^\n]{0,400}\bchmod\s+(?:[augo]*\+r?x|[75]\d\d)")
_HELD = re.compile(r"^[ \t]*\$?(?P<name>[A-Za-z_]\w*)=[\"']?(?:\$\(|`)\s*(?:curl|wget)\b", re.MULTILINE)
_SAVED = re.compile(
    r"\bcurl\b[^\n|;&]*?\s(?:-\w*o|--output)[ =]?[\"']?(?P<curl>[\w./${}-]+)|\bcurl\b[^\n|;&]*?>\s*[\"']?(?P<sent>[\w./${}-]+)|"
    r"\bcurl\b[^\n|;&]*?\s-\w*O\w*\b[^\n|;&]*?/(?P<named>[\w.-]+\.(?:sh|py|pl|rb|ps1|run))[\"']?(?:\s|$)|"
    r"\bwget\b[^\n|;&]*?\s-\w*O[ =]?[\"']?(?P<wget>[\w./${}-]+)|\bwget\b(?![^\n|;&]*\s-\w*O)[^\n|;&]*?/(?P<last>[\w.-]+\.(?:sh|py|pl|rb|run))[\"']?(?:\s|$)"
)
_CHECKED = re.compile(r"(?i)sha\d+sum|shasum|\bgpg\b|\bcosign\b|minisign|Get-FileHash|\bopenssl\s+dgst")


def deploy_targets(
    script: str, resolve: Callable[[str], str], clusters: dict[str, str] | None = None
) -> Iterator[tuple[str, int]]:
    """Yield address and line (from 0) of the workloads that a script deploys, if their names are known. ``resolve``
    substitutes known variables; a command with an unknown name is skipped. ``clusters`` stores, under ``name``, the
    cluster that earlier commands selected.
    """
    if len(script) > MAX_SCRIPT or not _DEPLOYING.search(script):
        return
    turned = {} if clusters is None else clusters
    for command in commands(script, _DEPLOYING, resolve):
        for start, word in enumerate(command.words):
            program = word.rsplit("/", 1)[-1]
            deployed = _PROGRAMS.get(program)
            if deployed is None:
                continue
            rest = command.words[start + 1 :]
            cluster = _selected_cluster(program, rest)
            if cluster is not None:
                turned["name"] = cluster
            target = deployed(rest, turned.get("name"))
            if target is not None and "*" not in target and "$" not in target:
                yield target, command.line
            break


def _selected_cluster(program: str, rest: list[str]) -> str | None:
    """Return the cluster that a command selects."""
    if program == "aws" and "update-kubeconfig" in rest:
        return _known(option(rest, "--name"))
    if program == "gcloud" and "get-credentials" in rest:
        return _known(_after(rest, "get-credentials"))
    if program == "az" and "get-credentials" in rest:
        return _known(option(rest, "--name", "-n"))
    if program == "kubectl" and ("use-context" in rest or "set-context" in rest):
        context = _known(_after(rest, "use-context"))
        return context.rsplit("/", 1)[-1] if context else None
    return None


def _after(words: list[str], *names: str) -> str | None:
    """Return the first positional word after any of the names."""
    for at, word in enumerate(words):
        if word in names:
            return next((after for after in words[at + 1 :] if not after.startswith("-")), None)
    return None


def _known(name: str | None) -> str | None:
    """Return a literal name; None if a part of it is computed."""
    return name if name and not re.search(r"[$`*{}()<>%]", name) else None


def _aws(words: list[str], _: str | None) -> str | None:
    if "lambda" in words and (
        "update-function-code" in words or "publish-version" in words or "update-alias" in words
    ):
        return lambda_function(option(words, "--function-name"))
    if "ecs" in words and ("update-service" in words or "deploy" in words):
        return ecs_service(option(words, "--cluster"), option(words, "--service", "--service-name"))
    if "deploy" in words and "create-deployment" in words:
        name = _known(option(words, "--deployment-group-name"))
        application = _known(option(words, "--application-name"))
        return f"aws:codedeploy-group-name:{application}/{name}" if name and application else None
    if "elasticbeanstalk" in words and "update-environment" in words:
        name = _known(option(words, "--environment-name"))
        return f"aws:elastic-beanstalk-environment-name:{name}" if name else None
    if "apprunner" in words and ("start-deployment" in words or "update-service" in words):
        return _known(option(words, "--service-arn"))
    return None


def lambda_function(name: str | None) -> str | None:
    """Return the address of a Lambda function by name or ARN (whose version or alias is dropped)."""
    known = _known(name)
    if known is None:
        return None
    if known.startswith("arn:"):
        return ":".join(known.split(":")[:7])
    return f"aws:lambda-function-name:{known.split(':', 1)[0]}"


def ecs_service(cluster: str | None, service: str | None) -> str | None:
    """Return the address of an ECS service by cluster (or its ARN) and name (or its ARN); the default cluster is ``default``."""
    name = _known(service)
    if name is None:
        return None
    if name.startswith("arn:") and name.count("/") == 2:
        return name
    where = "default" if cluster is None else _known(cluster)
    return f"aws:ecs-service-name:{where.rsplit('/', 1)[-1]}/{name.rsplit('/', 1)[-1]}" if where else None


_CONTROLLER = re.compile(r"(?:deploy|deployments?|statefulsets?|daemonsets?|sts|ds)(?:\.apps)?")
_CHANGES = frozenset(("set", "patch", "scale", "edit", "replace"))


def _context(words: list[str], cluster: str | None) -> str:
    where = _known(option(words, "--context", "--kube-context") or cluster) or "?"
    namespace = _known(option(words, "-n", "--namespace")) or "default"
    return f"{where.rsplit('/', 1)[-1]}/{namespace}"


def _helm(words: list[str], cluster: str | None) -> str | None:
    if "upgrade" not in words and "install" not in words:
        return None
    if {"plugin", "repo", "search"} & set(words):
        return None
    release = _known(_after(words, "upgrade", "install"))
    return f"kubernetes:helm-release:{_context(words, cluster)}/{release}" if release else None


def _kubectl(words: list[str], cluster: str | None) -> str | None:
    verbs = [word for word in words if not word.startswith("-")]
    restarts = "rollout" in verbs and ("restart" in verbs or "undo" in verbs)
    if not restarts and not _CHANGES & set(verbs[:3]):
        return None
    name: str | None = None
    for at, word in enumerate(words):
        kind, slash, named = word.partition("/")
        if not _CONTROLLER.fullmatch(kind.lower()):
            continue
        name = named if slash else next((w for w in words[at + 1 :] if not w.startswith("-")), None)
        break
    known = _known(name)
    return f"kubernetes:workload:{_context(words, cluster)}/{known}" if known else None


def _gcloud(words: list[str], _: str | None) -> str | None:
    """Services and functions follow the verb; ``run jobs`` and ``builds`` deploy neither."""
    kind = next((kind for kind in ("run", "functions") if kind in words), None)
    if kind is None or "jobs" in words:
        return None
    verb = next((verb for verb in ("deploy", "update", "update-traffic") if verb in words), None)
    name = _known(_after(words, verb)) if verb else None
    if name is None:
        return None
    return f"gcp:cloud-run-service-name:{name}" if kind == "run" else f"gcp:cloud-function-name:{name}"


def _azure(words: list[str], _: str | None) -> str | None:
    for kind in ("webapp", "functionapp", "containerapp"):
        if kind in words and ({"deploy", "deployment", "update", "up", "restart"} & set(words)):
            name = _known(option(words, "--name", "-n"))
            return f"azure:{kind}-name:{name}" if name else None
    return None


def _func(words: list[str], _: str | None) -> str | None:
    name = _known(_after(words, "publish")) if "azure" in words and "functionapp" in words else None
    return f"azure:functionapp-name:{name}" if name else None


def _ecs_deploy(words: list[str], _: str | None) -> str | None:
    return ecs_service(
        option(words, "-c", "--cluster"), option(words, "-n", "--service-name", "-s", "--service")
    )


_PROGRAMS: dict[str, Callable[[list[str], str | None], str | None]] = {
    "aws": _aws, "kubectl": _kubectl, "oc": _kubectl, "helm": _helm, "gcloud": _gcloud, "az": _azure, "func": _func,
    "ecs-deploy": _ecs_deploy,
}  # fmt: skip


def hard_coded(
    script: str, inspect: Callable[[str, str, Fingerprint], Seen | None], fingerprint: Fingerprint
) -> Iterator[tuple[str, int, Seen]]:
    """Yield name, line (from 0) and verdict of secret values in a script. In a comment, a value counts only if its own
    format identifies it as a secret, not because of a name.
    """
    if len(script) > MAX_SCRIPT:
        script = script[:MAX_SCRIPT]
    reported: set[int] = set()
    for name, value, at in literals(script):
        seen = inspect(name, value, fingerprint)
        if seen is not None:
            reported.add(at)
            yield name, at, seen
    for number, line in enumerate(script.split("\n")):
        if len(line) < 8 or number in reported:
            continue
        comment = line.lstrip().startswith("#")
        named = False
        for pattern in (_ASSIGNMENT, _POWERSHELL, _OPTION):
            for match in pattern.finditer(line):
                value = match["value"]
                if is_computed(value) or _MOUNTED.match(value):
                    continue
                seen = inspect(match["name"], value, fingerprint)
                if seen is None or (
                    comment and (seen.recognized_by == "name" or seen.looks_like == "high-entropy")
                ):
                    continue
                named = True
                yield match["name"], number, seen
        if not named and _HINT.search(line):
            seen = inspect("script", line, fingerprint)
            if seen is not None and seen.looks_like not in {
                "high-entropy",
                "connection-string",
                "url-secret",
            }:
                yield seen.looks_like, number, seen


def pipes_download_into_shell(script: str) -> Iterator[int]:
    """Yield the lines (from 0) that run a download without verifying it. A repository file at a full commit SHA cannot
    change and is not reported.
    """
    checked = _CHECKED.search(script[:MAX_SCRIPT]) is not None
    executed: set[str] | None = None
    for number, line in enumerate(script[:MAX_SCRIPT].split("\n")):
        if not any(word in line for word in _FETCHERS) or _FIXED_FILE.search(line[:MAX_LINE]):
            continue
        shown = line[:MAX_LINE]
        found = bool(_CURL_SHELL.search(shown) or (not checked and _FETCH_AND_RUN.search(shown)))
        if not found and not checked:
            executed = _executed(script[:MAX_SCRIPT]) if executed is None else executed
            found = _runs_later(shown, executed)
        if found:
            yield number


def _runs_later(line: str, executed: set[str]) -> bool:
    """Return whether the file that a line downloads is run elsewhere in the script."""
    held = _HELD.match(line)
    if held is not None:
        return f"${held['name']}" in executed
    saved = _SAVED.search(line)
    file = saved[saved.lastgroup] if saved is not None and saved.lastgroup else ""
    return file not in {"", "-"} and not file.startswith("/dev/") and file.removeprefix("./") in executed


_EXECUTED = re.compile(
    r"(?:^|[;&|({]|\bthen\b|\bdo\b)[ \t]*(?:sudo[ \t]+(?:-\w+[ \t]+)*)?(?:"
    r"(?:(?:ba|z)?sh|python3?|perl|ruby|source|eval|\.)[ \t]+(?:-\w+[ \t]+)*[\"']?(?P<given>[^\s\"';&|)]+)|"
    r"[\"']?(?P<named>\.?/[^\s\"';&|)]+)|(?:echo|printf)[ \t]+(?:-\w+[ \t]+|[\"']%s\S*[ \t]+)*[\"']?(?P<piped>\$\{?\w+)\}?[\"']?[ \t]*\|[ \t]*(?:sudo[ \t]+)?(?:ba|z)?sh\b)",
    re.MULTILINE,
)


def _executed(script: str) -> set[str]:
    """Return the files, without ``./``, and the variables, ``$name``, that a script runs."""
    found = set()
    for match in _EXECUTED.finditer(script):
        word = match["given"] or match["named"] or match["piped"]
        found.add(
            word.replace("{", "").replace("}", "").removeprefix("./")
            if word.startswith("$")
            else word.removeprefix("./")
        )
    return found
