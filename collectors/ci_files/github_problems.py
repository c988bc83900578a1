"""Weaknesses that a GitHub workflow shows by itself.

The codes are those of zizmor (https://docs.zizmor.sh/audits/) where it has one for the same thing, so that
a reader can compare; beside these: ``untrusted-checkout``, ``third-party-sees-secrets``, ``static-cloud-login``,
``oidc-without-permission``, ``secrets-in-output``, ``unverified-script``, ``debug-enabled``,
``confused-deputy-auto-merge``, ``artifact-poisoning``. Background:
https://docs.github.com/en/actions/reference/security/secure-use and
https://securitylab.github.com/resources/github-actions-preventing-pwn-requests/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from collectors.ci_files.definition import Login, Problem, Reference, Severity, Use
from collectors.ci_files.expressions import condition, expressions, paths, position, taint
from collectors.ci_files.github_steps import RawJob, Step, expand, literals, runner_kind, secret_names
from collectors.ci_files.shell_commands import pipes_download_into_shell
from collectors.ci_files.yaml_nodes import Mapping, Scalar, boolean, mapping, text

if TYPE_CHECKING:
    from collections.abc import Iterator

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
"""Events of strangers that run with secrets and a writable token."""
_PUBLIC = PRIVILEGED | {"pull_request"}
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
    "docker/build-push-action": ("build-args",),
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
_HEAD = re.compile(
    r"github\.head_ref|github\.event\.pull_request\.(?:head\.(?:sha|ref|label|repo)|merge_commit_sha|number)|"
    r"github\.event\.workflow_run\.(?:head_(?:sha|branch|commit|repository)|pull_requests)|github\.event\.(?:issue\.)?number|"
    r"github\.event\.issue\.number|github\.event\.(?:check_suite|check_run|review|comment)\."
)
_HEAD_OUTPUT = re.compile(
    r"(?i)(?:steps|needs)\.[\w.-]*(?:head|sha|ref|branch|commit|pull|pr[_-]?|merge)[\w-]*"
)
_HEAD_REF = re.compile(r"refs/(?:remotes/)?pull/|pull/[^\s]*/(?:head|merge)")
_GIT = re.compile(
    r"\bgit\s+(?:-C\s+\S+\s+)?(?:checkout|fetch|pull|clone|merge|switch|reset|worktree|rebase|cherry-pick)\b"
)
_GH_CHECKOUT = re.compile(r"\bgh\s+pr\s+checkout\b|\bhub\s+pr\s+checkout\b")
_BOT = re.compile(
    r"(?i)github\.(?:actor|triggering_actor|event\.pull_request\.sender\.login|event\.sender\.login)\s*==\s*'[^']*\[bot\]'|"
    r"'[^']*\[bot\]'\s*==\s*github\.(?:actor|triggering_actor)|"
    r"github\.(?:actor_id|event\.pull_request\.sender\.id)\s*==\s*'?(?:49699333|41898282|27856297|29139614|46447321)'?|"
    r"(?:contains|startsWith|endsWith)\(\s*github\.(?:actor|triggering_actor)\s*,\s*'[^']*bot[^']*'"
)
_CONTAINS = re.compile(
    r"(?i)contains\(\s*'[^']*'\s*,\s*(?:github\.(?:ref|ref_name|head_ref|base_ref|actor|triggering_actor)|env\.|inputs\.)"
)
_ENV_FILE = re.compile(
    r">>?\s*[\"']?\$\{?(?:env:)?GITHUB_(?:ENV|PATH)\b|GITHUB_(?:ENV|PATH)[\"']?\)?\s*(?:-Append)?|tee\s+(?:-a\s+)?[\"']?\$\{?GITHUB_(?:ENV|PATH)"
)
_PUBLISH = re.compile(
    r"(?m)^\s*(?:sudo\s+)?(?:[\w./-]*/)?(?:(?:python3?\s+-m\s+|uv\s+run\s+|uvx\s+|pipx\s+run\s+|poetry\s+run\s+)*"
    r"(?P<pypi>twine\s+upload|(?:uv|poetry|flit|hatch|pdm|maturin)\s+publish)|(?P<npm>(?:npm|yarn(?:\s+npm)?|pnpm|bun)\s+(?:-\S+\s+|run\s+)*publish\b)|"
    r"(?P<rubygems>gem\s+push|(?:bundle\s+exec\s+)?rake\s+release)|(?P<crates>cargo\s+(?:\+\S+\s+)?publish)|(?P<nuget>dotnet\s+nuget\s+push|nuget\s+push))(?![^\n]*--dry-run)"
)
_TRUSTED = frozenset(("pypi", "npm", "rubygems", "crates", "nuget"))
_FEDERATED = frozenset(("aws", "gcp", "azure"))
_ARCHIVED = frozenset(
    (
        "actions/create-release", "actions/upload-release-asset", "actions/setup-ruby", "actions/setup-elixir",
        "actions/setup-haskell", "actions-rs/audit-check", "actions-rs/cargo", "actions-rs/clippy-check",
        "actions-rs/components-nightly", "actions-rs/install", "actions-rs/tarpaulin", "actions-rs/toolchain",
        "andrewmcodes-archive/rubocop-linter-action", "artichoke/setup-rust", "aslafy-z/conventional-pr-title-action",
        "azure/container-actions", "azure/container-scan", "azure/get-keyvault-secrets", "azure/k8s-actions",
        "azure/powershell", "cedrickring/golang-action", "decathlon/pull-request-labeler-action",
        "justinribeiro/lighthouse-action", "grafana/k6-action", "helaili/github-graphql-action", "helaili/jekyll-action",
        "juliaregistries/tagbot", "marvinpinto/action-automatic-releases", "repo-sync/pull-request", "snow-actions/composer-install",
        "stefanprodan/kube-tools", "thollander/actions-comment-pull-request-archived", "xt0rted/markdownlint-problem-matcher",
        "dawidd6/action-delete-branch-archived", "trilom/file-changes-action", "gaurav-nelson/github-action-markdown-link-check",
    )
)  # fmt: skip
_CACHING = {
    "actions/cache": None,
    "actions/cache/restore": None,
    "swatinem/rust-cache": None,
    "actions/setup-node": "cache",
    "actions/setup-python": "cache",
    "actions/setup-java": "cache",
    "actions/setup-dotnet": "cache",
    "ruby/setup-ruby": "bundler-cache",
    "gradle/actions/setup-gradle": None,
    "gradle/gradle-build-action": None,
    "mozilla-actions/sccache-action": None,
    "hynek/build-and-inspect-python-package": None,
    "nix-community/cache-nix-action": None,
    "determinatesystems/magic-nix-cache-action": None,
    "actions/setup-go": "+cache",
    "astral-sh/setup-uv": "+enable-cache",
    "prefix-dev/setup-pixi": "+cache",
    "golangci/golangci-lint-action": "-skip-cache",
}
"""Action to the input that turns its cache on; None: it always caches; ``+``: on unless set to false; ``-``: off when true."""


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks look at."""

    env: Mapping
    triggers: dict[str, list[str]]
    permissions: dict[str, str] | None
    permissions_line: int
    on_line: int
    on_lines: dict[str, int]
    inputs: dict[str, str]
    """Input to its type."""
    jobs: list[RawJob]
    uses: list[Use]
    logins: list[Login]
    secrets: list[Reference]
    composite: bool


def find(workflow: Workflow) -> Iterator[Problem]:
    """Yield the problems of a workflow or composite action."""
    yield from _uses(workflow)
    yield from _logins(workflow)
    yield from _secret_reads(workflow)
    if not workflow.composite:
        yield from _permissions(workflow)
        yield from _triggers(workflow)
    yield from _environment(workflow.env, None)
    for job in workflow.jobs:
        yield from _job(workflow, job)


def _uses(workflow: Workflow) -> Iterator[Problem]:
    for use in workflow.uses:
        name = f"{use.name}@{use.ref}" if use.ref and use.kind != "image" else use.name
        if use.kind == "image":
            if use.pin in {"none", "tag"}:
                yield Problem(
                    code="unpinned-images", line=use.line, job=use.job, severity="medium" if use.pin == "none" else "low",
                    detail=f"image {name} is not pinned to a digest: what runs can change without a change here",
                    fix="Name the image with @sha256:<digest>.",
                )  # fmt: skip
            continue
        if use.name.lower() in _ARCHIVED:
            yield Problem(
                code="archived-uses", line=use.line, job=use.job, severity="low",
                detail=f"{use.name} is archived: nobody mends it any more",
                fix="Use a maintained action, or the tool itself.",
            )  # fmt: skip
        if use.pin not in {"none", "tag", "branch", "expression"}:
            continue
        severity: Severity = "high" if use.pin in {"branch", "none"} and use.third_party else "medium"
        if not use.third_party:
            severity = "low"
        yield Problem(
            code="unpinned-uses", line=use.line, job=use.job, severity=severity,
            detail=f"{name} is pinned to {_article(use.pin)}, which its owner can move",
            fix=f"Pin {use.name} to the full commit SHA, with the version in a comment.",
        )  # fmt: skip
        handed = [name for name in use.secrets if name != "GITHUB_TOKEN"]
        if handed and use.third_party:
            yield Problem(
                code="third-party-sees-secrets", line=use.line, job=use.job, severity="high",
                detail=f"{name} is not pinned to a commit and sees {_names(handed)}",
                fix=f"Pin {use.name} to a full commit SHA, and hand it no more secrets than it needs.",
            )  # fmt: skip


def _article(pin: str) -> str:
    return {"none": "nothing", "expression": "an expression"}.get(pin, f"a {pin}")


def _names(names: list[str]) -> str:
    shown = ["every secret" if name == "*" else name for name in names[:4]]
    return ", ".join(shown) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _logins(workflow: Workflow) -> Iterator[Problem]:
    for login in workflow.logins:
        if login.how == "oidc":
            if login.token_allowed is False:
                yield Problem(
                    code="oidc-without-permission", line=login.line, job=login.job, severity="low",
                    detail=f"the {login.service} login wants an identity token, but the job lacks id-token: write",
                    fix="Give the job `permissions: id-token: write`, or remove the login.",
                )  # fmt: skip
            continue
        names = _names(login.secrets) if login.secrets else "a value in the file"
        if login.service in _TRUSTED:
            yield Problem(
                code="use-trusted-publishing", line=login.line, job=login.job, severity="medium",
                detail=f"publishes to {login.service} with the stored credential {names}",
                fix=f"Set up trusted publishing at {login.service} and delete the stored token.",
            )  # fmt: skip
        elif login.service in _FEDERATED:
            yield Problem(
                code="static-cloud-login", line=login.line, job=login.job, severity="high",
                detail=f"signs in to {login.service} with the stored credential {names}",
                fix=f"Let {login.service} trust this repository's OIDC tokens and delete the stored credential.",
            )  # fmt: skip
        elif login.service == "github-app":
            yield Problem(
                code="github-app-key", line=login.line, job=login.job, severity="low",
                detail=f"holds the private key of a GitHub App in {names}",
                fix="Limit the App to the permissions and repositories this needs; rotate its key.",
            )  # fmt: skip


def _secret_reads(workflow: Workflow) -> Iterator[Problem]:
    outside: dict[str, list[Reference]] = {}
    for reference in workflow.secrets:
        if reference.via == "inherit":
            yield Problem(
                code="secrets-inherit", line=reference.line, job=reference.job, severity="medium",
                detail="hands every secret to the called workflow",
                fix="Name the secrets that the called workflow needs under `secrets:`.",
            )  # fmt: skip
        elif reference.name == "*":
            yield Problem(
                code="overprovisioned-secrets", line=reference.line, job=reference.job, severity="medium",
                detail="reads the whole secrets context, so the runner gets every secret",
                fix="Name each secret that is needed.",
            )  # fmt: skip
        elif reference.name.upper() != "GITHUB_TOKEN" and reference.environment is None and reference.job:
            outside.setdefault(reference.job, []).append(reference)
    for job, references in outside.items():
        names = list(dict.fromkeys(reference.name for reference in references))
        yield Problem(
            code="secrets-outside-env", line=references[0].line, job=job, severity="info",
            detail=f"reads {_names(names)} without an environment, so no rule guards who gets them",
            fix="Keep the secrets in an environment with protection rules, and name it in the job.",
        )  # fmt: skip


_SENSITIVE = frozenset(
    ("actions", "contents", "deployments", "id-token", "packages", "attestations", "pages", "security-events", "pull-requests")
)  # fmt: skip


def _permissions(workflow: Workflow) -> Iterator[Problem]:
    risky = bool(PRIVILEGED & set(workflow.triggers))
    given = workflow.permissions
    runs = [job for job in workflow.jobs if job.calls is None]
    if given is None:
        open_jobs = [job for job in workflow.jobs if not job.own_permissions]
        if set(workflow.triggers) == {"workflow_call"}:
            open_jobs = []
        if open_jobs and len(open_jobs) == len(workflow.jobs):
            yield _excess(
                workflow.on_line,
                None,
                "no permissions are set, so the default of repository or organisation applies",
                "high" if risky else "medium",
            )
        else:
            for job in open_jobs:
                yield _excess(
                    job.line,
                    job.key,
                    f"job {job.key} sets no permissions, so the default applies",
                    "high" if risky else "medium",
                )
    else:
        line = workflow.permissions_line
        if given.get("*"):
            level = given["*"]
            yield _excess(
                line,
                None,
                f"permissions: {level}-all for every job",
                "high" if level == "write" else "medium",
            )
        elif len(workflow.jobs) > 1 or not runs:
            for scope, level in given.items():
                if level == "write":
                    yield _excess(
                        line,
                        None,
                        f"{scope}: write is given to every job of the workflow",
                        "high" if scope in _SENSITIVE else "medium",
                    )
        else:
            for scope, level in given.items():
                if level == "write":
                    yield _excess(
                        line,
                        None,
                        f"{scope}: write is given at workflow level",
                        "medium" if scope in _SENSITIVE else "low",
                    )
    for job in workflow.jobs:
        if job.own_permissions and job.permissions and job.permissions.get("*"):
            level = job.permissions["*"]
            key = job.node.key("permissions")
            yield _excess(
                key.line if key else job.line,
                job.key,
                f"permissions: {level}-all in job {job.key}",
                "high" if level == "write" else "medium",
            )


def _excess(line: int, job: str | None, detail: str, severity: Severity) -> Problem:
    return Problem(
        code="excessive-permissions", line=line, job=job, detail=detail, severity=severity,
        fix="Set `permissions: {}` for the workflow and give each job the scopes it needs.",
    )  # fmt: skip


def _triggers(workflow: Workflow) -> Iterator[Problem]:
    for event in ("pull_request_target", "workflow_run"):
        if event not in workflow.triggers:
            continue
        yield Problem(
            code="dangerous-triggers", line=workflow.on_lines.get(event, workflow.on_line), severity="high",
            detail=f"{event} runs with the repository's secrets and token on what a stranger sent",
            fix="Use pull_request, or split off the part that needs rights and never run the stranger's code in it.",
        )  # fmt: skip
    if set(workflow.triggers) & {"release"} or _tags_only(workflow.triggers):
        for job in workflow.jobs:
            for step in job.steps:
                if _caches(step):
                    yield Problem(
                        code="cache-poisoning", line=step.line, job=job.key, severity="low",
                        detail=f"{step.uses} restores a cache, which other branches can fill, into a release",
                        fix="Build releases without a cache.",
                    )  # fmt: skip


def _tags_only(triggers: dict[str, list[str]]) -> bool:
    refs = triggers.get("push", [])
    return bool(refs) and all(ref.startswith("refs/tags/") for ref in refs)


def _caches(step: Step) -> bool:
    if step.action not in _CACHING:
        return False
    name = _CACHING[step.action]
    if name is None:
        return (text(step.input("lookup-only")) or "").lower() != "true"
    value = (text(step.input(name.lstrip("+-"))) or "").lower()
    if name.startswith("+"):
        return value != "false"
    return value != "true" if name.startswith("-") else value not in {"", "false"}


def _environment(env: Mapping, job: str | None) -> Iterator[Problem]:
    for key, value in env.pairs:
        if key.text == "ACTIONS_ALLOW_UNSECURE_COMMANDS" and boolean(value):
            yield Problem(
                code="insecure-commands", line=key.line, job=job, severity="high",
                detail="workflow commands that anything printed to the log can give are allowed",
                fix="Remove ACTIONS_ALLOW_UNSECURE_COMMANDS and write to $GITHUB_ENV instead.",
            )  # fmt: skip
        elif key.text in {"ACTIONS_STEP_DEBUG", "ACTIONS_RUNNER_DEBUG"} and boolean(value):
            yield Problem(
                code="debug-enabled", line=key.line, job=job, severity="low",
                detail=f"{key.text} writes more to the log than is good for secrets",
                fix="Remove it; debug logging can be asked for in a single re-run.",
            )  # fmt: skip


def _job(workflow: Workflow, job: RawJob) -> Iterator[Problem]:
    yield from _environment(job.env, job.key)
    yield from _runner(workflow, job)
    yield from _containers(job)
    yield from _conditions(workflow, job, job.node.get("if"))
    if not workflow.composite:
        yield from _checkout(workflow, job)
    uploads = any(step.action == "actions/upload-artifact" for step in job.steps)
    for step in job.steps:
        yield from _environment(step.env, job.key)
        yield from _conditions(workflow, job, step.condition)
        yield from _injection(workflow, job, step)
        yield from _artipacked(job, step, uploads)
        yield from _artifact(workflow, job, step)
        yield from _app_token(job, step)
        if step.run is not None:
            yield from _script(workflow, job, step, step.run)
        elif (
            step.action == "pypa/gh-action-pypi-publish"
            and step.input("user")
            and step.input("password") is None
        ):
            yield _publishing(step.line, job.key, "pypi")


def _runner(workflow: Workflow, job: RawJob) -> Iterator[Problem]:
    if runner_kind(job.runs_on, job.group) != "self-hosted" and not (job.group and not job.runs_on):
        return
    public = sorted(_PUBLIC & set(workflow.triggers))
    key = job.node.key("runs-on")
    where = f"in group {job.group}" if job.group else f"with labels {', '.join(job.runs_on[:6])}"
    told = f", and strangers can start it by {', '.join(public)}" if public else ""
    yield Problem(
        code="self-hosted-runner", line=key.line if key else job.line, job=job.key, severity="high" if public else "medium",
        detail=f"job {job.key} runs on a self-hosted runner {where}{told}",
        fix="Use ephemeral runners in a group limited to this repository, and hosted runners for pull requests.",
    )  # fmt: skip


def _containers(job: RawJob) -> Iterator[Problem]:
    parts = [("container", job.node.get("container"))]
    parts += [(f"service {key.text}", value) for key, value in mapping(job.node.get("services")).pairs]
    for what, node in parts:
        password = mapping(mapping(node).get("credentials")).get("password")
        if isinstance(password, Scalar) and password.text.strip() and "${{" not in password.text:
            yield Problem(
                code="hardcoded-container-credentials", line=password.line, job=job.key, severity="high",
                detail=f"the registry password of {what} stands in the file",
                fix="Keep it in a secret, and revoke the one that stood here.",
            )  # fmt: skip


def _conditions(workflow: Workflow, job: RawJob, node: object) -> Iterator[Problem]:
    if not isinstance(node, Scalar):
        return
    body = condition(node)
    if _BOT.search(body):
        yield Problem(
            code="bot-conditions", line=node.line, job=job.key,
            severity="high" if PRIVILEGED & set(workflow.triggers) else "medium",
            detail="trusts the name of the last actor, which a stranger can make a bot's",
            fix="Test github.event.pull_request.user.login, and demand a review.",
        )  # fmt: skip
    if _CONTAINS.search(body):
        yield Problem(
            code="unsound-contains", line=node.line, job=job.key, severity="high",
            detail="contains() with a text as its first argument also matches parts of names",
            fix="Use contains(fromJSON('[\"refs/heads/main\"]'), github.ref).",
        )  # fmt: skip
    found = list(expressions(node.text))
    if found and node.style in {"|", ">"} and node.text != node.text.rstrip("\n"):
        always = True
    else:
        stripped = node.text.strip()
        always = bool(found) and not (
            stripped.startswith("${{") and stripped.endswith("}}") and len(found) == 1
        )
    if always:
        yield Problem(
            code="unsound-condition", line=node.line, job=job.key, severity="high",
            detail="text around the expression makes the condition a text, which is always true",
            fix="Write the whole condition as one expression, without ${{ }} and without a trailing line break.",
        )  # fmt: skip


def _checkout(workflow: Workflow, job: RawJob) -> Iterator[Problem]:
    events = sorted(PRIVILEGED & set(workflow.triggers))
    if not events:
        return
    for at, step in enumerate(job.steps):
        env = literals(workflow.env, job.env, step.env)
        what = _takes_head(step, env, job)
        if what is None:
            continue
        later = [after for after in job.steps[at + 1 :] if after.run is not None or after.uses]
        runs = any(after.run is not None or (after.uses or "").startswith("./") for after in later)
        if step.run is not None:
            runs = runs or bool(
                re.search(
                    r"\b(?:make|npm|yarn|pnpm|pip|tox|pytest|cargo|go|gradlew|mvn|bash|sh|python)\b",
                    step.run.text,
                )
            )
        secrets = [name for name in secret_names(workflow.env, job.node) if name != "GITHUB_TOKEN"]
        writes = job.permissions is None or any(level == "write" for level in job.permissions.values())
        severity: Severity = "critical" if runs and (secrets or writes) else "high"
        reach = _names(secrets) if secrets else ("a writable token" if writes else "a read-only token")
        yield Problem(
            code="untrusted-checkout", line=step.line, job=job.key, severity=severity,
            detail=f"under {', '.join(events)} it checks out {what}" + (f" and runs code with {reach}" if runs else f" beside {reach}"),
            fix="Build strangers' code under pull_request, without secrets; pass results on as data.",
        )  # fmt: skip


def _takes_head(step: Step, env: dict[str, str], job: RawJob) -> str | None:
    """Tell what of a stranger's a step fetches; None if nothing."""
    if step.action == "actions/checkout":
        for name in ("ref", "repository"):
            value = step.input(name)
            for made in expand(value.text, env, job.matrix) if value else []:
                if "${{" not in made and not _HEAD_REF.search(made):
                    continue
                if _HEAD.search(made.lower()) or _HEAD_REF.search(made) or _HEAD_OUTPUT.search(made):
                    return "the head of a pull request"
        return None
    if step.run is None:
        return None
    script = step.run.text
    if _GH_CHECKOUT.search(script):
        return "a pull request with gh"
    if not _GIT.search(script):
        return None
    for line in script.split("\n"):
        if not _GIT.search(line):
            continue
        tainted = any(
            _HEAD.search(value.lower()) and re.search(rf"\$\{{?{re.escape(name)}\b", line)
            for name, value in env.items()
        )
        if tainted or _HEAD_REF.search(line) or ("${{" in line and _HEAD.search(line.lower())):
            return "the head of a pull request with git"
    return None


def _injection(workflow: Workflow, job: RawJob, step: Step) -> Iterator[Problem]:
    scripts: list[tuple[str, Scalar]] = [("run", step.run)] if step.run is not None else []
    if step.uses and step.action in _SCRIPT_INPUTS:
        for name in _SCRIPT_INPUTS[step.action]:
            value = step.input(name)
            if value is not None:
                scripts.append((name, value))
    env = literals(workflow.env, job.env, step.env)
    for where, scalar in scripts:
        told: set[tuple[int, str]] = set()
        for found in expressions(scalar.text):
            line, _ = position(scalar, found.start)
            worst = _worst(workflow, job, env, found.body)
            if worst is None or (line, worst[1]) in told:
                continue
            told.add((line, worst[1]))
            severity, path = worst
            yield Problem(
                code="template-injection", line=line, job=job.key, severity=severity,
                detail=f"`{path}` is pasted into `{where}` before it runs: whoever writes it writes code",
                fix="Put the expression into `env:` and use the variable, quoted, in the script.",
            )  # fmt: skip


def _worst(workflow: Workflow, job: RawJob, env: dict[str, str], body: str) -> tuple[Severity, str] | None:
    rank: dict[Severity, int] = {"high": 0, "medium": 1, "low": 2, "info": 3}
    worst: tuple[Severity, str] | None = None
    if _FLAGS.fullmatch(body) or _yields_flag(body):
        return None
    for path, _ in paths(body):
        severity = _severity(workflow, job, env, path)
        if severity is not None and (worst is None or rank[severity] < rank[worst[0]]):
            worst = (severity, path)
    return worst


_FLAGS = re.compile(
    r"\s*(?:!|(?:hashFiles|contains|startsWith|endsWith|success|failure|always|cancelled)\s*\()[^&|]*"
)
_COMPARISON = re.compile(r"(?:[^&|]*(?:==|!=|<|>)[^&|]*)(?:(?:&&|\|\|)[^&|]*(?:==|!=|<|>)[^&|]*)*")
_CHOICE = re.compile(r"[^|]*&&\s*(?:'[^']*'|\d+)\s*\|\|\s*(?:'[^']*'|\d+)\s*")


def _yields_flag(body: str) -> bool:
    """Tell whether an expression gives a truth value or one of two fixed texts, whatever it reads."""
    return bool(_CHOICE.fullmatch(body) or _COMPARISON.fullmatch(body))


def _severity(workflow: Workflow, job: RawJob, env: dict[str, str], path: str) -> Severity | None:
    root, _, name = path.partition(".")
    kind = taint(path)
    if kind == "none":
        return None
    if root == "inputs" or path.startswith("github.event.inputs."):
        name = path.rsplit(".", 1)[-1]
        if workflow.inputs.get(name) in {"boolean", "number", "choice", "environment"}:
            return None
        return "medium" if workflow.composite or "workflow_call" in workflow.triggers else "low"
    if root == "env":
        value = env.get(name)
        if value is None:
            return "low"
        made = expand(value, env, job.matrix)
        inner = [p for text_ in made for found in expressions(text_) for p, _ in paths(found.body)]
        levels = [_severity(workflow, job, {}, p) for p in inner if not p.startswith("env.")]
        return next((level for level in ("high", "medium", "low", "info") if level in levels), None)
    if root == "matrix":
        values = job.matrix.get(name)
        if values is None and any(key.startswith(f"{name}.") for key in job.matrix):
            return None
        if values is None:
            return "low"
        inner = [p for value in values for found in expressions(value) for p, _ in paths(found.body)]
        levels = [_severity(workflow, job, env, p) for p in inner if not p.startswith("matrix.")]
        return next((level for level in ("high", "medium", "low", "info") if level in levels), None)
    if root in {"steps", "needs", "jobs"}:
        return None if name.endswith((".outcome", ".conclusion", ".result")) else "info"
    if kind == "stranger":
        return "high"
    return "medium" if kind == "collaborator" else "low"


def _artipacked(job: RawJob, step: Step, uploads: bool) -> Iterator[Problem]:
    if step.action != "actions/checkout":
        return
    value = step.input("persist-credentials")
    if value is not None and boolean(value) is False:
        return
    yield Problem(
        code="artipacked", line=step.line, job=job.key, severity="medium" if uploads else "low",
        detail="the checkout leaves the job's token in .git/config" + (", and the job uploads artifacts" if uploads else ""),
        fix="Set `persist-credentials: false` on the checkout.",
    )  # fmt: skip


def _artifact(workflow: Workflow, job: RawJob, step: Step) -> Iterator[Problem]:
    if not {"workflow_run", "pull_request_target", "issue_comment"} & set(workflow.triggers):
        return
    foreign = step.action in {
        "dawidd6/action-download-artifact",
        "aochmann/actions-download-artifact",
        "bettermarks/action-artifact-download",
        "levonet/action-download-last-artifact",
        "ishworkh/docker-image-artifact-download",
        "ishworkh/container-image-artifact-download",
        "marcofaggian/action-download-multiple-artifacts",
        "blablacar/action-download-last-artifact",
        "actions/github-script-download",
    }
    if step.action == "actions/download-artifact":
        foreign = step.input("run-id") is not None
    elif step.action == "actions/github-script":
        foreign = "downloadArtifact" in (text(step.input("script")) or "")
    elif step.run is not None:
        foreign = bool(re.search(r"\bgh\s+run\s+download\b|/actions/artifacts/[^\s]*zip", step.run.text))
    if foreign:
        yield Problem(
            code="artifact-poisoning", line=step.line, job=job.key, severity="medium",
            detail="takes an artifact of another run, which a pull request may have made, into a run with rights",
            fix="Unpack it into a folder of its own, treat it as data, and check what it holds.",
        )  # fmt: skip


def _app_token(job: RawJob, step: Step) -> Iterator[Problem]:
    if step.action != "actions/create-github-app-token":
        return
    scoped = any(key.text.lower().startswith("permission-") for key, _ in step.inputs.pairs)
    whole = step.input("owner") is not None and step.input("repositories") is None
    kept = boolean(step.input("skip-token-revoke")) is True
    if scoped and not whole and not kept:
        return
    parts = [
        *(["every permission of the App"] if not scoped else []),
        *(["every repository of the owner"] if whole else []),
        *(["and is not revoked at the end"] if kept else []),
    ]
    yield Problem(
        code="github-app", line=step.line, job=job.key, severity="high" if whole else "medium",
        detail=f"the App token carries {', '.join(parts)}",
        fix="Name `repositories:` and `permission-...:` inputs, and let the token be revoked.",
    )  # fmt: skip


def _publishing(line: int, job: str, service: str) -> Problem:
    return Problem(
        code="use-trusted-publishing", line=line, job=job, severity="medium",
        detail=f"publishes to {service} with a stored credential",
        fix=f"Set up trusted publishing at {service} and delete the stored token.",
    )  # fmt: skip


_ECHO = re.compile(r"\b(?:echo|printf|print|Write-Host|Write-Output|cat\s*<<)\b")
_HIDDEN = re.compile(
    r"::add-mask::|\||>\s*(?!\s*[\"']?\$\{?GITHUB_(?:OUTPUT|STEP_SUMMARY|ENV))|\bbase64\b|--password-stdin"
)


def _script(workflow: Workflow, job: RawJob, step: Step, run: Scalar) -> Iterator[Problem]:
    script = run.text
    start = run.line + (1 if run.style in {"|", ">"} else 0)
    if PRIVILEGED & set(workflow.triggers) and _ENV_FILE.search(script):
        for number, line in enumerate(script.split("\n")):
            if _ENV_FILE.search(line) and not re.search(
                r">>?\s*[\"']?\$\{?GITHUB_(?:OUTPUT|STEP_SUMMARY)", line
            ):
                yield Problem(
                    code="github-env", line=start + number, job=job.key, severity="high",
                    detail="writes to GITHUB_ENV or GITHUB_PATH in a run that strangers can start: what they bring can become a variable",
                    fix="Use GITHUB_OUTPUT, and never write a stranger's text there.",
                )  # fmt: skip
                break
    for number in pipes_download_into_shell(script):
        yield Problem(
            code="unverified-script", line=start + number, job=job.key, severity="low",
            detail="runs a download without checking it",
            fix="Download, verify a checksum or signature, then run.",
        )  # fmt: skip
    env_secrets = {
        key.text
        for env in (workflow.env, job.env, step.env)
        for key, value in env.pairs
        if secret_names(value)
    }
    for number, line in enumerate(script.split("\n")):
        if not _ECHO.search(line) or _HIDDEN.search(line):
            continue
        direct = "secrets." in line and any(
            path.startswith("secrets") for found in expressions(line) for path, _ in paths(found.body)
        )
        if direct or any(re.search(rf"\$\{{?(?:env:)?{re.escape(name)}\b", line) for name in env_secrets):
            yield Problem(
                code="secrets-in-output", line=start + number, job=job.key, severity="medium",
                detail="prints a secret to the log or an output, where masking is the only guard",
                fix="Do not print it; hand it on by `env:`.",
            )  # fmt: skip
    for found in expressions(script):
        if re.search(r"(?i)fromjson\(\s*secrets\.", found.body):
            line_number, _ = position(run, found.start)
            yield _unredacted(line_number, job.key)
    published = _PUBLISH.search(script)
    if published is not None and published.lastgroup and not _has_login(workflow, job, published.lastgroup):
        held = [name for name in secret_names(step.env, job.env, workflow.env, run) if name != "GITHUB_TOKEN"]
        if held:
            line_number = start + script.count("\n", 0, published.start(published.lastgroup))
            yield _publishing(line_number, job.key, published.lastgroup)
    events = {"pull_request_target", "workflow_run"} & set(workflow.triggers)
    if events and re.search(r"\bgh\s+pr\s+(?:merge|review\s+[^\n]*--approve)", script):
        guards = [node for node in (job.node.get("if"), step.condition) if isinstance(node, Scalar)]
        if any(_BOT.search(condition(node)) for node in guards):
            yield Problem(
                code="confused-deputy-auto-merge", line=start, job=job.key, severity="high",
                detail="merges or approves a pull request because of a bot's name, which a stranger can borrow",
                fix="Test github.event.pull_request.user.login, and let branch protection demand a review.",
            )  # fmt: skip


def _has_login(workflow: Workflow, job: RawJob, service: str) -> bool:
    return any(login.service == service and login.job in {job.key, None} for login in workflow.logins)


def _unredacted(line: int, job: str) -> Problem:
    return Problem(
        code="unredacted-secrets", line=line, job=job, severity="medium",
        detail="takes a part out of a structured secret: the log masks the whole, not its parts",
        fix="Store each part as a secret of its own.",
    )  # fmt: skip
