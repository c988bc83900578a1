"""Weaknesses visible in a GitHub workflow itself.

The codes are those of zizmor (https://docs.zizmor.sh/audits/) if it has an equivalent audit, so that results can be
compared; in addition: ``untrusted-checkout``, ``third-party-sees-secrets``, ``static-cloud-login``,
``oidc-without-permission``, ``secrets-in-output``, ``unverified-script``, ``debug-enabled``,
``confused-deputy-auto-merge``, ``artifact-poisoning``. Background:
https://docs.github.com/en/actions/reference/security/secure-use and
https://securitylab.github.com/resources/github-actions-preventing-pwn-requests/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.definition import Problem, Reference
from collectors.definitions.github.agents import agents_fed_by_strangers
from collectors.definitions.github.caches import poisoned_caches
from collectors.definitions.github.checkouts import checkouts, persisted_tokens, untrusted_artifacts
from collectors.definitions.github.commands import unchecked_commands
from collectors.definitions.github.commands_from_strangers import commands_from_strangers
from collectors.definitions.github.environment import environment_files
from collectors.definitions.github.expressions import condition, expressions, paths
from collectors.definitions.github.permissions import excess_permissions
from collectors.definitions.github.scripts import (
    BOT,
    injections,
    placements,
    publishes,
    scripts,
    stored_publishing,
    structured_secrets,
    unsafe_source,
)
from collectors.definitions.github.steps import (
    HOSTED,
    PRIVILEGED,
    RawJob,
    Workflow,
    WorkflowStep,
    listed,
    runner_kind,
    secret_names,
)
from collectors.definitions.github.third_party_code import third_party_code
from collectors.definitions.shell.dependency_sources import of_variable
from collectors.definitions.yaml_nodes import Mapping, Scalar, boolean, mapping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.github.taint import Taint
    from collectors.definitions.yaml_nodes import Node
    from scanner.records import Severity

_PUBLIC = PRIVILEGED | {"pull_request"}
_RENTED = re.compile(
    r"(?i)buildjet|blacksmith|depot|namespace|nscloud|warp|ubicloud|github-hosted|ubuntu|windows|macos"
)
"""Labels of runner vendors, and of larger runners by image."""
_CONTAINS = re.compile(
    r"(?i)contains\(\s*'[^']*'\s*,\s*(?:github\.(?:ref|ref_name|head_ref|base_ref|actor|triggering_actor)|env\.|inputs\.)"
)
_TRUSTED = frozenset(("pypi", "npm", "rubygems", "crates", "nuget"))
_FEDERATED = frozenset(("aws", "gcp", "azure", "alibaba"))
"""Clouds that accept the OIDC tokens of GitHub."""


def find(workflow: Workflow, taint: Taint) -> Iterator[Problem]:
    """Yield the problems of a workflow or composite action."""
    yield from third_party_code(workflow)
    yield from _logins(workflow)
    yield from _secret_reads(workflow)
    if not workflow.composite and not workflow.called:
        yield from excess_permissions(workflow)
        yield from _triggers(workflow)
    yield from _environment(workflow.env, None)
    yield from _shared_secrets(workflow)
    for job in workflow.jobs:
        yield from _job(workflow, job, taint)


def _logins(workflow: Workflow) -> Iterator[Problem]:
    for login in workflow.logins:
        if login.how == "oidc":
            if login.token_allowed is False:
                yield Problem(
                    code="oidc-without-permission", line=login.line, job=login.job, severity="low",
                    detail=f"the {login.service} sign-in needs an OIDC token, but the job lacks id-token: write",
                    fix="Give the job `permissions: id-token: write`, or remove the sign-in.",
                )  # fmt: skip
            continue
        names = listed(login.secrets) if login.secrets else "a value in the file"
        if login.service in _TRUSTED:
            if not publishes(workflow, login.job, login.service):
                continue  # a token for installing packages: https://docs.npmjs.com/using-private-packages-in-a-ci-cd-workflow
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
                detail=f"uses the private key of a GitHub App stored in {names}",
                fix="Limit the App to the permissions and repositories the workflow needs, and rotate its key.",
            )  # fmt: skip


def _secret_reads(workflow: Workflow) -> Iterator[Problem]:
    outside: dict[str, list[Reference]] = {}
    calls = {
        job.key for job in workflow.jobs if job.calls is not None
    }  # a job that calls a workflow cannot have an environment
    for reference in workflow.secrets:
        if reference.via == "inherit":
            yield Problem(
                code="secrets-inherit", line=reference.line, job=reference.job, severity="medium",
                detail="passes every secret to the called workflow",
                fix="List the secrets the called workflow needs under `secrets:`.",
            )  # fmt: skip
        elif reference.name == "*":
            yield Problem(
                code="overprovisioned-secrets", line=reference.line, job=reference.job, severity="medium",
                detail="reads the whole secrets context, so the job receives every secret",
                fix="Reference each secret the job needs by name.",
            )  # fmt: skip
        if (
            reference.name.upper() != "GITHUB_TOKEN"
            and reference.environment is None
            and reference.job is not None
            and reference.job not in calls
        ):
            outside.setdefault(reference.job, []).append(reference)
    for job, references in outside.items():
        names = list(dict.fromkeys(reference.name for reference in references))
        yield Problem(
            code="secrets-outside-env", line=references[0].line, job=job, severity="info",
            detail=f"reads {listed(names)} without an environment, so no protection rule limits which jobs can read them",
            fix="Move the secrets to an environment with protection rules and set `environment:` on the job.",
        )  # fmt: skip


def _shared_secrets(workflow: Workflow) -> Iterator[Problem]:
    """Yield the secrets that every step of every job gets, needed or not."""
    if sum(len(job.steps) for job in workflow.jobs) < 2:
        return
    for key, value in workflow.env.pairs:
        names = [name for name in secret_names(value) if name != "GITHUB_TOKEN"]
        if names and "*" not in names:
            yield Problem(
                code="secrets-in-workflow-env", line=key.line, severity="low",
                detail=f"{listed(names)} is passed to every step of every job",
                fix="Set it in the `env:` of the step that needs it.",
            )  # fmt: skip


_DANGEROUS: tuple[tuple[str, Severity], ...] = (
    ("pull_request_target", "high"),
    ("workflow_run", "high"),
    ("issue_comment", "medium"),
)


def _triggers(workflow: Workflow) -> Iterator[Problem]:
    # A workflow with only actions/labeler reads paths and runs nothing of the pull request, which is its documented
    # use.
    steps = [step for job in workflow.jobs for step in job.steps]
    harmless = bool(steps) and all(step.action == "actions/labeler" for step in steps)
    for event, severity in _DANGEROUS:
        if event not in workflow.triggers or (harmless and event == "pull_request_target"):
            continue
        yield Problem(
            code="dangerous-triggers", line=workflow.on_lines.get(event, workflow.on_line), severity=severity,
            detail=f"{event} runs with the repository's secrets and token on input from outsiders",
            fix="Use pull_request, or move the privileged part to a separate workflow that never executes untrusted code.",
        )  # fmt: skip


def _insecure(line: int, job: str | None) -> Problem:
    return Problem(
        code="insecure-commands", line=line, job=job, severity="high",
        detail="allows insecure workflow commands: anything printed to the log can set environment variables",
        fix="Remove ACTIONS_ALLOW_UNSECURE_COMMANDS and write to $GITHUB_ENV instead.",
    )  # fmt: skip


def _environment_of_matrix(job: RawJob, node: Node | None) -> Iterator[Problem]:
    """Yield the problem of ``env: ${{ matrix.env }}``."""
    for found in expressions(node.text) if isinstance(node, Scalar) else []:
        for path, _ in paths(found.body):
            values = job.matrix.get(f"{path.removeprefix('matrix.')}.ACTIONS_ALLOW_UNSECURE_COMMANDS", [])
            if path.startswith("matrix.") and any(value.lower() == "true" for value in values):
                yield _insecure(node.line if node else job.line, job.key)


def _environment(env: Mapping, job: str | None) -> Iterator[Problem]:
    for key, value in env.pairs:
        unsafe = of_variable(key.text, value.text) if isinstance(value, Scalar) else None
        if unsafe is not None:
            yield unsafe_source(key.line, job, unsafe)
        if key.text == "ACTIONS_ALLOW_UNSECURE_COMMANDS" and boolean(value):
            yield _insecure(key.line, job)
        elif key.text in {"ACTIONS_STEP_DEBUG", "ACTIONS_RUNNER_DEBUG"} and boolean(value):
            yield Problem(
                code="debug-enabled", line=key.line, job=job, severity="low",
                detail=f"{key.text} enables debug logging, which can expose secrets in the log",
                fix="Remove it, and enable debug logging for a single re-run when needed.",
            )  # fmt: skip


def _job(workflow: Workflow, job: RawJob, taint: Taint) -> Iterator[Problem]:
    yield from _environment(job.env, job.key)
    yield from _runner(workflow, job)
    yield from _containers(job)
    yield from _conditions(workflow, job, job.node.get("if"))
    yield from unchecked_commands(workflow, job)
    yield from placements(workflow, job, taint)
    yield from checkouts(workflow, job)
    yield from poisoned_caches(workflow, job, taint)
    uploads = any(step.action == "actions/upload-artifact" for step in job.steps)
    yield from structured_secrets(job)
    yield from _environment_of_matrix(job, job.node.get("env"))
    for step in job.steps:
        yield from _environment(step.env, job.key)
        yield from _environment_of_matrix(job, step.node.get("env"))
        yield from _conditions(workflow, job, step.condition)
        yield from injections(workflow, job, step, taint)
        yield from commands_from_strangers(workflow, job, step, taint)
        yield from agents_fed_by_strangers(workflow, job, step, taint)
        yield from environment_files(workflow, job, step, taint)
        yield from persisted_tokens(job, step, uploads)
        yield from untrusted_artifacts(workflow, job, step)
        yield from _app_token(job, step)
        if step.run is not None:
            yield from scripts(workflow, job, step, step.run)
        elif (
            step.action == "pypa/gh-action-pypi-publish"
            and step.input("user")
            and step.input("password") is None
        ):
            yield stored_publishing(step.line, job.key, "pypi")


def _runner(workflow: Workflow, job: RawJob) -> Iterator[Problem]:
    public = sorted(_PUBLIC & set(workflow.triggers))
    key = job.node.key("runs-on")
    kind = runner_kind(job.runs_on, job.group)
    named = [label for label in job.runs_on if "${{" not in label and not HOSTED.fullmatch(label.strip())]
    if public and kind == "unknown" and named and not any(_RENTED.search(label) for label in named):
        yield Problem(
            code="self-hosted-runner", line=key.line if key else job.line, job=job.key, severity="low",
            detail=f"job {job.key}, which outsiders can trigger through {', '.join(public)}, runs on {', '.join(named[:6])}: "
            "a self-hosted or larger runner (the label does not show which)",
            fix="Use GitHub-hosted runners for pull requests. If this is a larger runner, name it after its image.",
        )  # fmt: skip
    if kind != "self-hosted" and not (job.group and not job.runs_on):
        return
    where = f"in group {job.group}" if job.group else f"with labels {', '.join(job.runs_on[:6])}"
    triggers = f", and outsiders can trigger it through {', '.join(public)}" if public else ""
    yield Problem(
        code="self-hosted-runner", line=key.line if key else job.line, job=job.key, severity="high" if public else "medium",
        detail=f"job {job.key} runs on a self-hosted runner {where}{triggers}",
        fix="Use ephemeral runners in a group limited to this repository, and GitHub-hosted runners for pull requests.",
    )  # fmt: skip


def _containers(job: RawJob) -> Iterator[Problem]:
    parts = [("container", job.node.get("container"))]
    parts += [(f"service {key.text}", value) for key, value in mapping(job.node.get("services")).pairs]
    for what, node in parts:
        password = mapping(mapping(node).get("credentials")).get("password")
        if isinstance(password, Scalar) and password.text.strip() and "${{" not in password.text:
            yield Problem(
                code="hardcoded-container-credentials", line=password.line, job=job.key, severity="high",
                detail=f"the registry password of {what} is hard-coded in the file",
                fix="Revoke the password and store the new one as a secret.",
            )  # fmt: skip


def _conditions(workflow: Workflow, job: RawJob, node: object) -> Iterator[Problem]:
    if not isinstance(node, Scalar):
        return
    body = condition(node)
    if BOT.search(body):
        yield Problem(
            code="bot-conditions", line=node.line, job=job.key,
            severity="high" if PRIVILEGED & set(workflow.triggers) else "medium",
            detail="trusts github.actor, the last account to act, which an attacker can make a bot's",
            fix="Check github.event.pull_request.user.login instead, and require a review.",
        )  # fmt: skip
    if _CONTAINS.search(body):
        yield Problem(
            code="unsound-contains", line=node.line, job=job.key, severity="high",
            detail="contains() with a string as its first argument also matches substrings",
            fix="Use contains(fromJSON('[\"refs/heads/main\"]'), github.ref).",
        )  # fmt: skip
    found = list(expressions(node.text))
    if found and node.style in {"|", ">"} and node.text != node.text.rstrip("\n"):
        always = True
    else:
        whole = node.text.startswith("${{") and node.text.endswith("}}") and len(found) == 1
        always = bool(found) and not whole
    if always:
        yield Problem(
            code="unsound-condition", line=node.line, job=job.key, severity="high",
            detail="text around the expression makes the condition a string, which is always true",
            fix="Write the whole condition as one expression, without ${{ }} and without a trailing line break.",
        )  # fmt: skip


def _app_token(job: RawJob, step: WorkflowStep) -> Iterator[Problem]:
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
        *(["no revocation at the end of the job"] if kept else []),
    ]
    yield Problem(
        code="github-app", line=step.line, job=job.key, severity="high" if whole else "medium",
        detail=f"the App token carries {', '.join(parts)}",
        fix="Set the `repositories:` and `permission-...:` inputs, and let the token be revoked.",
    )  # fmt: skip
