"""Recognises in a shell script, without running it, what it deploys and what it does with secrets.

Commands: https://docs.aws.amazon.com/cli/latest/reference/, https://kubernetes.io/docs/reference/kubectl/,
https://cloud.google.com/sdk/gcloud/reference/run/deploy, https://learn.microsoft.com/cli/azure/webapp.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scanner.detectors import Fingerprint, Seen

MAX_SCRIPT = 200_000
MAX_LINE = 5_000
"""Characters of one command that are judged: longer ones are data, not commands."""
_ASSIGNMENT = re.compile(
    r"(?:^|[;&|\s])(?:export\s+|set\s+|ENV\s+|declare\s+-x\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]{2,80})=(?P<quote>[\"']?)(?P<value>[^\s\"';&|]{3,4000})(?P=quote)"
)
_OPTION = re.compile(
    r"--?(?P<name>password|passwd|token|secret|api-key|apikey|access-key|secret-key|client-secret|auth-token)[ =](?P<quote>[\"']?)(?P<value>[^\s\"';&|]{3,4000})(?P=quote)"
)
_HINT = re.compile(r"[A-Za-z0-9_-]{20}|://|-----BEGIN|[Pp]assword|PASSWORD")
"""What every token has; lines without it are not judged any further."""
_DEPLOYING = re.compile(
    r"\b(?:aws|kubectl|helm|gcloud|az|sam|serverless|sls|cdk|terraform|ecs-deploy|eksctl)\b"
)
_CURL_SHELL = re.compile(
    r"\b(?:curl|wget)\b[^|;&\n]*\|\s*(?:sudo\s+(?:-\w+\s+)*)?(?:ba|z|k|da)?sh\b|\b(?:ba|z)?sh\s+(?:-\w+\s+)*[\"']?(?:<\(|\$\()\s*(?:curl|wget)\b|"
    r"(?i:\b(?:iex|Invoke-Expression)\b[^\n]{0,80}(?:DownloadString|iwr|irm|Invoke-WebRequest|Invoke-RestMethod))|"
    r"(?i:\b(?:iwr|irm|Invoke-WebRequest|Invoke-RestMethod|DownloadString)\b[^|;&\n]*\|\s*(?:iex|Invoke-Expression)\b)|"
    r"\b(?:curl|wget)\b[^|;&\n]*\|\s*(?:sudo\s+(?:-\w+\s+)*)?(?:python3?|perl|php|node|ruby)(?=\s*$|\s+-\s*$|\s+-\s|\s*[;&|])|"
    r"\bsource\s+<\(\s*curl\b|\bdeno\s+(?:run|install)\s+(?:-A|--allow-all)\b[^\n]*https://"
)
_FETCHERS = ("curl", "wget", "iex", "iwr", "irm", "Invoke-", "deno", "DownloadString")
_FIXED_FILE = re.compile(
    r"https://(?:raw\.githubusercontent\.com/[^/\s]+/[^/\s]+|github\.com/[^/\s]+/[^/\s]+/raw)/[0-9a-f]{40}/"
)
_FETCH_AND_RUN = re.compile(r"\b(?:curl|wget)\b[^\n]{0,400}\bchmod\s+(?:[augo]*\+r?x|[75]\d\d)")
_HELD = re.compile(r"^\s*\$?(?P<name>[A-Za-z_]\w*)=[\"']?(?:\$\(|`)\s*(?:curl|wget)\b", re.MULTILINE)
_SAVED = re.compile(
    r"\bcurl\b[^\n|;&]*?\s(?:-\w*o|--output)[ =]?[\"']?(?P<curl>[\w./${}-]+)|\bcurl\b[^\n|;&]*?>\s*[\"']?(?P<sent>[\w./${}-]+)|"
    r"\bcurl\b[^\n|;&]*?\s-\w*O\w*\b[^\n|;&]*?/(?P<named>[\w.-]+\.(?:sh|py|pl|rb|ps1|run))[\"']?(?:\s|$)|"
    r"\bwget\b[^\n|;&]*?\s-\w*O[ =]?[\"']?(?P<wget>[\w./${}-]+)|\bwget\b(?![^\n|;&]*\s-\w*O)[^\n|;&]*?/(?P<last>[\w.-]+\.(?:sh|py|pl|rb|run))[\"']?(?:\s|$)"
)
_CHECKED = re.compile(r"(?i)sha\d+sum|shasum|\bgpg\b|\bcosign\b|minisign|Get-FileHash|\bopenssl\s+dgst")


def deploy_targets(script: str, resolve: Callable[[str], str]) -> Iterator[tuple[str, int]]:
    """Yield address and line (from 0) of the workloads that a script deploys, as far as they stand in it.

    ``resolve`` replaces what is known of variables; a command with an unknown name is left out.
    """
    if len(script) > MAX_SCRIPT or not _DEPLOYING.search(script):
        return
    cluster: str | None = None
    for number, line in _commands(script):
        if not _DEPLOYING.search(line):
            continue
        filled = resolve(line)
        if len(filled) > MAX_LINE:
            continue
        words = _words(filled)
        for start, word in enumerate(words):
            program = word.rsplit("/", 1)[-1]
            rest = words[start + 1 :]
            if program == "aws":
                if "update-kubeconfig" in rest:
                    cluster = _option(rest, "--name") or cluster
                target = _aws(rest)
            elif program in {"kubectl", "helm"}:
                target = _kubernetes(program, rest, cluster)
            elif program == "gcloud":
                if "get-credentials" in rest:
                    cluster = _after(rest, "get-credentials") or cluster
                target = _gcloud(rest)
            elif program == "az":
                target = _azure(rest)
            else:
                continue
            if target is not None and "*" not in target and "$" not in target:
                yield target, number
            break


def _commands(script: str) -> Iterator[tuple[int, str]]:
    """Yield the commands of a script with their line, continued lines joined."""
    held, first = "", 0
    for number, line in enumerate(script.split("\n")):
        if not held:
            first = number
        stripped = line.rstrip()
        if stripped.endswith(("\\", "`")):
            held += stripped[:-1] + " "
            continue
        whole = held + line
        held = ""
        for part in re.split(r"&&|\|\||;|\|", whole):
            if not part.lstrip().startswith("#"):
                yield first, part
    if held:
        yield first, held


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _option(words: list[str], *names: str) -> str | None:
    for at, word in enumerate(words):
        name, found, value = word.partition("=")
        if name in names:
            if found:
                return value or None
            following = words[at + 1] if at + 1 < len(words) else ""
            return following if following and not following.startswith("-") else None
    return None


def _after(words: list[str], *names: str) -> str | None:
    """Return the first positional word after any of the names."""
    for at, word in enumerate(words):
        if word in names:
            return next((after for after in words[at + 1 :] if not after.startswith("-")), None)
    return None


def _known(name: str | None) -> str | None:
    """Return a name that stands in full; None when a part of it is computed."""
    return name if name and not re.search(r"[$`*{}()<>]", name) else None


def _aws(words: list[str]) -> str | None:
    if "lambda" in words and (
        "update-function-code" in words or "publish-version" in words or "update-alias" in words
    ):
        return lambda_function(_option(words, "--function-name"))
    if "ecs" in words and ("update-service" in words or "deploy" in words):
        return ecs_service(_option(words, "--cluster"), _option(words, "--service", "--service-name"))
    if "deploy" in words and "create-deployment" in words:
        name = _known(_option(words, "--deployment-group-name"))
        application = _known(_option(words, "--application-name"))
        return f"aws:codedeploy-group-name:{application}/{name}" if name and application else None
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


def _kubernetes(program: str, words: list[str], cluster: str | None) -> str | None:
    namespace = _known(_option(words, "-n", "--namespace")) or "default"
    where = _known(_option(words, "--context", "--kube-context") or cluster) or "?"
    where = where.rsplit("/", 1)[-1]
    if program == "helm" and ("upgrade" in words or "install" in words):
        release = _known(_after(words, "upgrade", "install"))
        return f"kubernetes:helm-release:{where}/{namespace}/{release}" if release else None
    if program == "kubectl" and ("set" in words or "rollout" in words):
        named = next(
            (
                word
                for word in words
                if re.match(r"(?:deploy|deployments?|statefulsets?|daemonsets?|sts|ds)(?:\.apps)?/", word)
            ),
            None,
        )
        if named is None:
            kind = next((w for w in words if w in {"deployment", "deploy", "statefulset", "daemonset"}), None)
            after = _after(words, kind) if kind else None
            named = f"{kind}/{after}" if after else None
        name = _known(named.split("/", 1)[1]) if named else None
        return f"kubernetes:workload:{where}/{namespace}/{name}" if name else None
    return None


def _gcloud(words: list[str]) -> str | None:
    if "run" in words and "deploy" in words:
        name = _known(_after(words, "deploy"))
        return f"gcp:cloud-run-service-name:{name}" if name else None
    if "functions" in words and "deploy" in words:
        name = _known(_after(words, "deploy"))
        return f"gcp:cloud-function-name:{name}" if name else None
    return None


def _azure(words: list[str]) -> str | None:
    for kind in ("webapp", "functionapp", "containerapp"):
        if kind in words and ({"deploy", "deployment", "update", "up"} & set(words)):
            name = _known(_option(words, "--name", "-n"))
            return f"azure:{kind}-name:{name}" if name else None
    return None


def hard_coded(
    script: str, judge: Callable[[str, str, Fingerprint], Seen | None], fingerprint: Fingerprint
) -> Iterator[tuple[str, int, Seen]]:
    """Yield name, line (from 0) and verdict of secret values that stand in a script."""
    if len(script) > MAX_SCRIPT:
        script = script[:MAX_SCRIPT]
    for number, line in enumerate(script.split("\n")):
        if len(line) < 8:
            continue
        named = False
        for pattern in (_ASSIGNMENT, _OPTION):
            for match in pattern.finditer(line):
                value = match["value"]
                if "$" in value or "`" in value:
                    continue
                seen = judge(match["name"], value, fingerprint)
                if seen is not None:
                    named = True
                    yield match["name"], number, seen
        if not named and _HINT.search(line):
            seen = judge("script", line, fingerprint)
            if seen is not None and seen.looks_like not in {
                "high-entropy",
                "connection-string",
                "url-secret",
            }:
                yield seen.looks_like, number, seen


def pipes_download_into_shell(script: str) -> Iterator[int]:
    """Yield the lines (from 0) on which a download is run without having been checked.

    A file of a repository at a full commit SHA cannot change and is left out.
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
    """Tell whether what a line downloads is run elsewhere in the script."""
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
