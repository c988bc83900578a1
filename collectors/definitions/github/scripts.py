"""Weaknesses in the scripts of a GitHub workflow: injection, printed secrets, publishing with stored tokens.

Background: https://docs.github.com/en/actions/reference/security/secure-use, https://docs.zizmor.sh/audits/#template-injection.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.builder import UNSAFE_SOURCE_FIX
from collectors.definitions.definition import Problem
from collectors.definitions.github.conditions import reached
from collectors.definitions.github.expressions import Expression, condition, expressions, paths, position
from collectors.definitions.github.steps import (
    PRIVILEGED,
    RawJob,
    Workflow,
    WorkflowStep,
    literals,
    secret_names,
)
from collectors.definitions.shell.commands import MAX_LINE, MAX_SCRIPT, pipes_download_into_shell
from collectors.definitions.shell.dependency_sources import unsafe_sources
from collectors.definitions.yaml_nodes import Scalar, scalars

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.github.taint import Taint
    from scanner.records import Severity

BOT = re.compile(
    r"(?i)github\.(?:actor|triggering_actor|event\.pull_request\.sender\.login|event\.sender\.login)\s*==\s*'[^']*\[bot\]'|"
    r"'[^']*\[bot\]'\s*==\s*github\.(?:actor|triggering_actor)|"
    r"github\.(?:actor_id|event\.pull_request\.sender\.id)\s*==\s*'?(?:49699333|41898282|27856297|29139614|46447321)'?|"
    r"(?:contains|startsWith|endsWith)\(\s*github\.(?:actor|triggering_actor)\s*,\s*'[^']*bot[^']*'"
)
_SCRIPT_INPUTS = {
    "actions/github-script": ("script",),
    "azure/cli": ("inlineScript",),
    "azure/powershell": ("inlineScript",),
    "appleboy/ssh-action": ("script", "script_stop"),
    "jannekem/run-python-script-action": ("script",),
    "cardinalby/js-eval-action": ("expression",),
    "amadevus/pwsh-script": ("script",),
    "nick-fields/retry": ("command", "on_retry_command", "new_command_on_retry"),
    "nick-invision/retry": ("command",),
    "sergeysova/jq-action": ("cmd",),
    "mikefarah/yq": ("cmd",),
    "roots/issue-closer-action": ("issue-close-message", "pr-close-message"),
    "cloudflare/wrangler-action": ("preCommands", "postCommands", "command"),
    "addnab/docker-run-action": ("run", "options"),
    "google-github-actions/ssh-compute": ("command",),
    "lycheeverse/lychee-action": ("args",),
    "reactivecircus/android-emulator-runner": ("script",),
    "pyiron/actions/run-python-script": ("script",),
    "rtcamp/action-slack-notify": (),
    "devcontainers/ci": ("runCmd",),
    "codecov/codecov-action": (),
    "aws-powershell-tools/powershell": ("script",),
    "zcong1993/setup-timezone": (),
    "bitnami/kubectl": ("args",),
    "gautamkrishnar/keepalive-workflow": (),
}
_GAP = r"(?:[ \t]|[\\`]\r?\n)+"
"""Between the words of a command, which may continue on the next line."""
_REST = r"(?:[^\n]|(?<=[\\`])\n){0,500}"
_PUBLISH = re.compile(
    (
        r"(?m)(?:^|&&|\|\||;|\bthen\b|\bdo\b)[ \t]*(?:sudo~)?(?:\w{1,80}=\S{0,200}~){0,9}(?:[\w./-]{0,200}/)?(?:"
        r"(?:(?:python[\d.]*~-m|uv~run|uvx|pipx~run|poetry~run)~)*(?P<pypi>twine(?:==[\w.]+)?~upload|(?:uv|poetry|flit|hatch|pdm|maturin)~publish)|"
        r"(?P<npm>(?:(?:bunx|npx)~)?(?:npm|yarn(?:~npm)?|pnpm|bun)~(?:-\S{1,100}~|run~)*publish\b|(?:npx|yarn|pnpm(?:~exec)?)~(?:lerna|changeset)~publish\b)|"
        r"(?P<rubygems>(?:bundle~exec~)?(?:gem~push|rake~release))|(?P<crates>cargo~(?:\+\S+~)?publish(?!@~-n\b))|"
        r"(?P<nuget>(?:dotnet~nuget|nuget(?:\.exe)?)~push))(?!@--dry-run)"
    )
    .replace("~", _GAP)
    .replace("@", _REST)
)
_OTHER_REGISTRY = re.compile(
    r"--registry(?:[ =][\"']?)(?!https?://registry\.npmjs\.org)\S|--(?:repository-url|publish-url)[ =][\"']?(?!https?://(?:upload|test)\.pypi\.org)\S|"
    r"(?:--repository|-r)[ =](?!\S{0,200}pypi)\S|--host[ =](?!https?://rubygems\.org)\S|(?:--source|-s)[ =][\"']?(?!\S{0,200}nuget\.org)\S|"
    r"npm\s+config\s+set\s+registry[ =](?!https?://registry\.npmjs\.org)\S"
)
"""Options for a registry other than the public one."""
_ECHO = re.compile(r"\b(?:echo|printf|print|Write-Host|Write-Output|cat\s*<<)\b")
_HIDDEN = re.compile(
    r"::add-mask::|\||>>?(?!>)\s*(?!\s*[\"']?\$\{?GITHUB_(?:OUTPUT|STEP_SUMMARY|ENV))|\bbase64\b|--password-stdin"
)


_LONGEST_FOLDED = 20_000


def _line(workflow: Workflow, scalar: Scalar, found: Expression) -> int:
    """Return the line of an expression. In folded scalars, which lose line breaks, its text is searched for."""
    line, _ = position(scalar, found.start)
    if scalar.style == "|" or len(scalar.text) > _LONGEST_FOLDED:
        return line
    wanted = found.body.strip()
    for number, shown in enumerate(workflow.lines_from(scalar.line), scalar.line):
        if number >= line and "${{" in shown and wanted in shown:
            return number
    return line


def injections(workflow: Workflow, job: RawJob, step: WorkflowStep, taint_of: Taint) -> Iterator[Problem]:
    """Yield the expressions that are inserted into code, by who controls them."""
    places: list[tuple[str, Scalar]] = [("run", step.run)] if step.run is not None else []
    shell = step.node.get("shell")
    if isinstance(shell, Scalar):
        places.append(("shell", shell))
    if step.uses and step.action in _SCRIPT_INPUTS:
        for name in _SCRIPT_INPUTS[step.action]:
            value = step.input(name)
            if value is not None:
                places.append((name, value))
    env = literals(workflow.env, job.env, step.env)
    for where, scalar in places:
        reported: set[tuple[int, str]] = set()
        worst_by_body: dict[str, tuple[Severity, str] | None] = {}
        for found in expressions(scalar.text):
            if found.body not in worst_by_body:
                worst_by_body[found.body] = taint_of.worst(job, env, found.body, step)
            worst = worst_by_body[found.body]
            if worst is None:
                continue
            line = _line(workflow, scalar, found)
            if (line, worst[1]) in reported:
                continue
            reported.add((line, worst[1]))
            severity, path = worst
            if severity == "high" and _only_trusted(workflow, job, step):
                severity = "low"
            yield Problem(
                code="template-injection", line=line, job=job.key, severity=severity,
                detail=f"`{path}` is expanded into `{where}` before it runs, so an attacker who controls it can run code",
                fix="Pass the expression through `env:` and use the quoted shell variable in the script.",
            )  # fmt: skip


def placements(workflow: Workflow, job: RawJob, taint_of: Taint) -> Iterator[Problem]:
    """Yield the expressions by which untrusted users choose the runner or the image of a job."""
    env = literals(workflow.env, job.env)
    for name in ("runs-on", "container", "services"):
        for key, scalar in scalars(job.node.get(name), job.node.key(name)):
            if "${{" not in scalar.text or (key is not None and key.text in {"username", "password"}):
                continue
            for found in expressions(scalar.text):
                worst = taint_of.worst(job, env, found.body)
                if worst is not None and worst[0] == "high":
                    yield Problem(
                        code="template-injection", line=_line(workflow, scalar, found), job=job.key, severity="medium",
                        detail=f"`{worst[1]}` is part of `{name}`, so an attacker who controls it chooses where the job runs",
                        fix="Write the runner and image into the file, or choose from a fixed list.",
                    )  # fmt: skip


def _only_trusted(workflow: Workflow, job: RawJob, step: WorkflowStep) -> bool:
    """Return whether the conditions of a step exclude every event of untrusted users that starts the workflow."""
    if not PRIVILEGED & set(workflow.triggers) or "pull_request" in workflow.triggers:
        return False
    return all(reached(workflow, job, step).values())


_PUBLISHERS = {"pypa/gh-action-pypi-publish": "pypi", "js-devtools/npm-publish": "npm", "rubygems/release-gem": "rubygems",
               "rubygems/configure-rubygems-credentials": "rubygems"}  # fmt: skip


def publishes(workflow: Workflow, job: str | None, service: str) -> bool:
    """Return whether a job (any job, if None) publishes to a registry."""
    for found in workflow.jobs:
        if job is not None and found.key != job:
            continue
        for step in found.steps:
            if _PUBLISHERS.get(step.action) == service:
                return True
            if step.run is not None and any(kind == service for kind, _ in _publishing(found, step.run.text)):
                return True
    return False


def _publishing(job: RawJob, script: str) -> Iterator[tuple[str, int]]:
    """Yield service and offset of the commands that publish to a public registry."""
    if len(script) > MAX_SCRIPT or _OTHER_REGISTRY.search(script):
        return
    for match in _PUBLISH.finditer(script):
        service = match.lastgroup
        if service is not None and not (service == "npm" and _has_private_registry(job)):
            yield service, match.start(service)


def _has_private_registry(job: RawJob) -> bool:
    """Return whether a job sets up npm for another registry than the public one."""
    named = [step.input("registry-url") for step in job.steps if step.action == "actions/setup-node"]
    return any(url is not None and "registry.npmjs.org" not in url.text for url in named)


def stored_publishing(line: int, job: str, service: str) -> Problem:
    """Return the problem of publishing with a stored token although the registry accepts OIDC tokens."""
    return Problem(
        code="use-trusted-publishing", line=line, job=job, severity="medium",
        detail=f"publishes to {service} with a stored credential",
        fix=f"Set up trusted publishing at {service} and delete the stored token.",
    )  # fmt: skip


def unsafe_source(line: int, job: str | None, what: str) -> Problem:
    """Return the problem of packages that come unsafely."""
    return Problem(
        code="unsafe-dependency-source",
        line=line,
        job=job,
        severity="medium",
        detail=what,
        fix=UNSAFE_SOURCE_FIX,
    )


def scripts(workflow: Workflow, job: RawJob, step: WorkflowStep, run: Scalar) -> Iterator[Problem]:
    """Yield the problems of one script: unverified downloads, printed secrets, publishing."""
    script = run.text
    start = run.line + (1 if run.style in {"|", ">"} else 0)
    for number in pipes_download_into_shell(script):
        yield Problem(
            code="unverified-script", line=start + number, job=job.key, severity="low",
            detail="runs a downloaded script without verifying it",
            fix="Download it, verify a checksum or signature, then run it.",
        )  # fmt: skip
    for source in unsafe_sources(script):
        yield unsafe_source(start + source.line, job.key, source.what)
    env_secrets = {
        key.text
        for env in (workflow.env, job.env, step.env)
        for key, value in env.pairs
        if secret_names(value)
    }
    held = (
        re.compile(rf"\$\{{?(?:env:)?(?:{'|'.join(map(re.escape, sorted(env_secrets)))})\b")
        if env_secrets
        else None
    )
    kept = _in_files(script) if "}" in script else set()
    for number, line in enumerate(script.split("\n")):
        if not _ECHO.search(line) or _HIDDEN.search(line) or number in kept:
            continue
        direct = "secrets." in line and any(
            path.startswith("secrets")
            for found in expressions(line)
            if not _COMPARED.search(found.body)
            for path, _ in paths(found.body)
        )
        if direct or (held is not None and held.search(line)):
            yield Problem(
                code="secrets-in-output", line=start + number, job=job.key, severity="medium",
                detail="prints a secret to the log or an output, where only masking protects it",
                fix="Do not print it; pass it through `env:`.",
            )  # fmt: skip
    yield from _in_commands(job, run, start)
    for number, line in enumerate(script.split("\n")):
        if _REVERSE_SHELL.search(line[:MAX_LINE]):
            yield Problem(
                code="reverse-shell", line=start + number, job=job.key, severity="high",
                detail="opens a reverse shell from the runner to another machine",
                fix="Remove it, find out who added it, and rotate every secret the job could read.",
            )  # fmt: skip
    for service, offset in _publishing(job, script):
        read = secret_names(step.env, job.env, workflow.env, run)
        stored = set(read) - {"GITHUB_TOKEN"} or (not read and not _may_federate(workflow, job))
        if stored and not _has_login(workflow, job, service):
            yield stored_publishing(start + script.count("\n", 0, offset), job.key, service)
        break
    events = {"pull_request_target", "workflow_run"} & set(workflow.triggers)
    if events and re.search(r"\bgh\s+pr\s+(?:merge|review\s+[^\n]*--approve)", script):
        guards = [node for node in (job.node.get("if"), step.condition) if isinstance(node, Scalar)]
        if any(BOT.search(condition(node)) for node in guards):
            yield Problem(
                code="confused-deputy-auto-merge", line=start, job=job.key, severity="high",
                detail="merges or approves a pull request based on a bot's name, which an attacker can spoof",
                fix="Check github.event.pull_request.user.login instead, and require a review by branch protection.",
            )  # fmt: skip


_TO_FILE = re.compile(r"^\s*\}\s*>>?\s*(?P<file>\S+)")
_SHOWN_FILE = re.compile(r"GITHUB_(?:OUTPUT|STEP_SUMMARY|ENV)|/dev/(?:stdout|stderr|tty)|&[12]")


def _in_files(script: str) -> set[int]:
    """Return the lines of groups whose output goes to a file: ``{ echo "a=$A"; } > file`` over several lines."""
    found: set[int] = set()
    opened: list[int] = []
    for number, line in enumerate(script.split("\n")):
        stripped = line.strip()
        if stripped == "{":
            opened.append(number)
        elif stripped.startswith("}") and opened:
            first, to_file = opened.pop(), _TO_FILE.match(line)
            if to_file is not None and not _SHOWN_FILE.search(to_file["file"]):
                found.update(range(first, number))
    return found


def _in_commands(job: RawJob, run: Scalar, start: int) -> Iterator[Problem]:
    """Yield the first secret that is inserted into a command line, where other processes of the runner can see it."""
    for number, line in enumerate(run.text.split("\n")):
        if "secrets" not in line.lower() or _ECHO.search(line):
            continue
        names = [
            path.partition(".")[2]
            for found in expressions(line)
            for path, _ in paths(found.body)
            if path.startswith("secrets.")
            and path != "secrets.GITHUB_TOKEN"
            and not _COMPARED.search(found.body)
        ]
        if names:
            yield Problem(
                code="secrets-in-command-line", line=start + number, job=job.key, severity="low",
                detail=f"expands {names[0]} into the script, where it shows in the process list and a quote in it breaks the command",
                fix="Pass it through `env:` and use the quoted shell variable.",
            )  # fmt: skip
            return


_REVERSE_SHELL = re.compile(
    r"\b(?:ba|z|k)?sh\s+-i\b[^\n]{0,500}(?:/dev/tcp/|\bn(?:et)?cat\b|\bnc\b)|/dev/tcp/[^\s/]{1,200}/\d+[^\n]{0,500}\b(?:ba|z)?sh\b|\b(?:nc|ncat|netcat)\b[^\n]{0,500}\s-\w*[ec]\w*\s+\S*sh\b|"
    r"\bmkfifo\b[^\n]{0,500}\b(?:nc|ncat|netcat)\b"
)
_COMPARED = re.compile(r"==|!=|&&|\|\|")


def _may_federate(workflow: Workflow, job: RawJob) -> bool:
    """Return whether a job can request an identity token. If not, it publishes with a stored credential."""
    if workflow.composite or (job.permissions is None and set(workflow.triggers) == {"workflow_call"}):
        return True
    given = job.permissions or {}
    return "write" in {given.get("id-token"), given.get("*")}


def _has_login(workflow: Workflow, job: RawJob, service: str) -> bool:
    return any(login.service == service and login.job in {job.key, None} for login in workflow.logins)


def structured_secrets(job: RawJob) -> Iterator[Problem]:
    """Yield the places in a job that read a part of a structured secret."""
    for _, scalar in scalars(job.node):
        if "${{" not in scalar.text or "fromjson" not in scalar.text.lower():
            continue
        for found in expressions(scalar.text):
            if _STRUCTURED.search(found.body):
                yield _unredacted(position(scalar, found.start)[0], job.key)


_STRUCTURED = re.compile(r"(?i)fromjson\(\s*secrets\s*[.\[]")


def _unredacted(line: int, job: str) -> Problem:
    return Problem(
        code="unredacted-secrets", line=line, job=job, severity="medium",
        detail="extracts part of a structured secret; the log masks only the whole value",
        fix="Store each part as a separate secret.",
    )  # fmt: skip
