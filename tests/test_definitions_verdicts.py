"""Verdicts about GitHub workflows: guards of actions/checkout, provenance of logins, commands and agents fed by strangers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collectors.definitions.formats import parse
from collectors.definitions.shell.code_execution import runs_local_code
from scanner.secrets.detectors import Fingerprint, inspect

if TYPE_CHECKING:
    from collectors.definitions.definition import Definition

FP = Fingerprint(b"test-key")
SHA = "11bd71901bbe5b1630ceea73d27597364c9af683"


def workflow(
    steps: str, *, on: str = "pull_request_target", permissions: str = "{contents: write}", head: str = ""
) -> Definition:
    source = f"on: {on}\npermissions: {permissions}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n{head}    steps:\n{steps}"
    return parse(".github/workflows/x.yml", source, FP, owner="acme")


def severities(definition: Definition, code: str) -> list[str]:
    return [problem.severity for problem in definition.problems if problem.code == code]


HEAD = "${{ github.event.pull_request.head.sha }}"


# https://github.com/actions/checkout/releases: the guard came with v7.0.0 and was brought to v2.8.0, v3.7.0, v4.4.0, v5.1.0
# and v6.1.0, to which the floating tags point.
@pytest.mark.parametrize(
    ("ref", "more", "severity"),
    [
        ("v4", "", "info"),
        ("v4.4.0", "", "info"),
        ("v7.0.1", "", "info"),
        (f"{SHA} # v5.1.0", "", "info"),
        ("main", "", "info"),
        ("v4.3.9", "", "critical"),
        ("v1", "", "critical"),
        (SHA, "", "critical"),
        (f"{SHA} # v4", "", "critical"),  # the comment does not say which release of v4
        ("v6", ", allow-unsafe-pr-checkout: true", "critical"),
        ("some-branch", "", "critical"),
    ],
)
def test_releases_of_checkout_that_refuse_forks(ref: str, more: str, severity: str) -> None:
    steps = (
        f"      - uses: actions/checkout@{ref}\n        with: {{ref: '{HEAD}'{more}}}\n      - run: make\n"
    )
    found = workflow(steps)
    assert severities(found, "untrusted-checkout") == [severity]
    assert found.untrusted_checkout == (severity != "info")


def test_the_guard_looks_at_neither_other_events_nor_git() -> None:
    comment = "      - uses: actions/checkout@v6\n        with: {ref: 'refs/pull/${{ github.event.issue.number }}/head'}\n      - run: make\n"
    assert severities(workflow(comment, on="issue_comment"), "untrusted-checkout") == ["critical"]
    assert severities(workflow("      - run: gh pr checkout 1 && make\n"), "untrusted-checkout") == [
        "critical"
    ]


@pytest.mark.parametrize(
    ("script", "runs"),
    [
        ("make", True), ("npm ci && npm test", True), ("./gradlew build", True), ("bash -c 'pytest -q'", True),
        ("find . -name x -exec make {} \\;", True), ("xargs -n1 make", True), ("docker build .", True), ("timeout 5m go test ./...", True),
        ("grep make README", False), ("cat ./file", False), ("npm view x", False), ("go vet ./...", False), ("git fetch origin", False),
        ("python3 --version", False), ("echo make", False), ("for f in *; do\n  wc $f\ndone", False),
        ("some-tool --check", None), ("$TOOL", None),
    ],
)  # fmt: skip
def test_which_commands_run_code_of_the_folder(script: str, runs: bool | None) -> None:
    assert runs_local_code(script) is runs


KEYS = f"      - uses: aws-actions/configure-aws-credentials@{SHA}\n        with: {{aws-access-key-id: '%s', aws-secret-access-key: '%s'%s}}\n"


@pytest.mark.parametrize(
    ("first", "second", "static"),
    [
        ("${{ secrets.ID }}", "${{ secrets.KEY }}", True),
        ("${{ vars.ID }}", "${{ vars.KEY }}", True),
        ("AKIAX", "abc", True),
        ("${{ steps.vault.outputs.id }}", "${{ steps.vault.outputs.key }}", False),
        ("${{ needs.login.outputs.id }}", "${{ needs.login.outputs.key }}", False),
        ("${{ inputs.id }}", "${{ inputs.key }}", False),
    ],
)
def test_a_login_is_static_only_with_a_value_that_outlives_the_job(
    first: str, second: str, static: bool
) -> None:
    found = workflow(KEYS % (first, second, ""), on="push")
    assert [login.how for login in found.logins] == (["static"] if static else [])
    assert severities(found, "static-cloud-login") == (["high"] if static else [])


def test_stored_keys_that_assume_a_role_name_the_role() -> None:
    role = "arn:aws:iam::111122223333:role/x"
    (login,) = workflow(
        KEYS % ("${{ secrets.A }}", "${{ secrets.B }}", f", role-to-assume: '{role}'"), on="push"
    ).logins
    assert (login.how, login.targets, login.secrets) == ("static", [role], ["A", "B"])


@pytest.mark.parametrize(
    ("action", "inputs", "service", "how"),
    [
        ("docker/login-action", "registry: 1.dkr.ecr.eu-west-1.amazonaws.com, username: '${{ secrets.AWS_ACCESS_KEY_ID }}', password: '${{ secrets.P }}'", "aws", "static"),
        ("docker/login-action", "registry: europe-docker.pkg.dev, username: _json_key, password: '${{ secrets.P }}'", "gcp", "static"),
        ("docker/login-action", "registry: x.azurecr.io, username: '${{ secrets.ARM_CLIENT_ID }}', password: '${{ secrets.P }}'", "azure", "static"),
        ("docker/login-action", "username: u, password: '${{ secrets.P }}'", "registry", "static"),
        ("docker/login-action", "registry: europe-docker.pkg.dev, username: oauth2accesstoken, password: '${{ steps.auth.outputs.access_token }}'", None, None),
        ("docker/login-action", "registry: ghcr.io, username: u, password: '${{ secrets.GITHUB_TOKEN }}'", None, None),
        ("aliyun/configure-aliyun-credentials-action", "role-to-assume: acs:ram::1:role/x, oidc-provider-arn: p", "alibaba", "oidc"),
        ("1password/load-secrets-action", "service-account-token: '${{ secrets.OP }}'", "1password", "static"),
        ("cloudflare/wrangler-action", "apiToken: '${{ secrets.CF }}'", "cloudflare", "static"),
        ("amondnet/vercel-action", "vercel-token: '${{ secrets.V }}'", "vercel", "static"),
        ("redhat-actions/oc-login", "openshift_token: '${{ secrets.O }}'", "openshift", "static"),
        ("rust-lang/crates-io-auth-action", "x: y", "crates", "oidc"),
        ("tailscale/github-action", "oauth-secret: '${{ secrets.T }}'", "tailscale", "static"),
        ("anthropics/claude-code-action", "anthropic_api_key: '${{ secrets.K }}'", "anthropic", "static"),
        ("someone/unknown", "token: '${{ secrets.K }}'", None, None),
    ],
)  # fmt: skip
def test_kinds_of_logins(action: str, inputs: str, service: str | None, how: str | None) -> None:
    found = workflow(f"      - uses: {action}@{SHA}\n        with: {{{inputs}}}\n", on="push")
    assert [(login.service, login.how) for login in found.logins] == ([(service, how)] if service else [])


TITLE = "        env: {T: '${{ github.event.issue.title }}', N: '${{ github.run_id }}'}\n"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ('eval "$T"', "command-injection"),
        ('bash -c "$T"', "command-injection"),
        ("echo $T | sh", "command-injection"),
        ('eval "$N"', None),
        ('echo "$T"', None),
        ('[[ $T =~ ^[0-9]+$ ]] && eval "x=$T"', None),
        ('sed -i "s/x/$T/" file', "argument-injection"),
        ("git checkout $T", "argument-injection"),
        ('git commit -m "$T"', None),
        ('gh issue comment --body "$T"', None),
    ],
)
def test_commands_and_options_from_strangers(script: str, code: str | None) -> None:
    found = workflow(f"      - run: |\n          {script}\n{TITLE}", on="issues")
    codes = [p.code for p in found.problems if p.code in {"command-injection", "argument-injection"}]
    assert codes == ([code] if code else [])


AGENT = "      - uses: %s\n        with: {%s}\n"


@pytest.mark.parametrize(
    ("action", "inputs", "permissions", "severity"),
    [
        ("anthropics/claude-code-action@v1", "anthropic_api_key: '${{ secrets.K }}'", "{contents: write}", "low"),
        ("anthropics/claude-code-action@v1", "allowed_non_write_users: '*', prompt: 'Triage ${{ github.event.issue.body }}'", "{contents: write}", "high"),
        ("anthropics/claude-code-action@v1", "allowed_non_write_users: '*', claude_args: '--allowedTools Bash'", "{issues: write}", "critical"),
        ("google-github-actions/run-gemini-cli@v1", "prompt: 'Triage ${{ github.event.issue.title }}'", "{issues: write}", "critical"),
        ("google-github-actions/run-gemini-cli@v1", "prompt: 'Write the notes'", "{issues: write}", None),
        ("openai/codex-action@v1", "prompt: '${{ github.event.issue.body }}', allow-users: '*'", "{contents: read}", "medium"),
        ("someone/notify@v1", "prompt: '${{ github.event.issue.body }}'", "{contents: write}", None),
    ],
)  # fmt: skip
def test_agents_that_strangers_feed(action: str, inputs: str, permissions: str, severity: str | None) -> None:
    found = workflow(AGENT % (action, inputs), on="issues", permissions=permissions)
    assert severities(found, "agent-prompt-from-strangers") == ([severity] if severity else [])
    guarded = workflow(
        AGENT % (action, inputs), on="issues", permissions=permissions, head="    if: github.actor == 'ada'\n"
    )
    assert severities(guarded, "agent-prompt-from-strangers") == []


def test_alternatives_with_different_guards_are_a_guard() -> None:
    either = "github.event.pull_request.head.repo.fork == false || github.event.pull_request.author_association == 'MEMBER'"
    steps = f"      - uses: actions/checkout@{SHA}\n        with: {{ref: '{HEAD}'}}\n      - run: make\n"
    assert severities(workflow(steps, head=f"    if: {either}\n"), "untrusted-checkout") == []
    assert severities(workflow(steps, head=f"    if: {either} || true\n"), "untrusted-checkout") == [
        "critical"
    ]


def test_runners_in_a_literal_list_are_read() -> None:
    source = 'on: push\npermissions: {}\njobs:\n  a:\n    runs-on: ${{ fromJSON(\'["self-hosted", "gpu"]\') }}\n    steps: [{run: x}]\n'
    (job,) = parse(".github/workflows/x.yml", source, FP).jobs
    assert job.runner is not None
    assert (job.runner.kind, job.runner.labels) == ("self-hosted", ["self-hosted", "gpu"])


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ('{\n            echo "t=$K"\n          } > file', None),
        ('{\n            echo "t=$K"\n          } >> $GITHUB_OUTPUT', "secrets-in-output"),
        ("echo ${{ secrets.K == '' }}", None),
        ("echo ${{ secrets.K }}", "secrets-in-output"),
    ],
)  # fmt: skip
def test_what_prints_a_secret(script: str, code: str | None) -> None:
    found = workflow(
        f"      - run: |\n          {script}\n        env: {{K: '${{{{ secrets.K }}}}'}}\n", on="push"
    )
    assert [p.code for p in found.problems if p.code == "secrets-in-output"] == ([code] if code else [])


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("restore-keys", "linux-node-modules-3f8a9b2c", False),
        ("TOKEN_COUNT_TITLE", "Nightly Token Count Report", False),
        ("secrets", "secret/data/ci/db password | DB_PASSWORD ;", False),
        ("token", "kv/ci/app token", False),
        ("TOKEN", "abc123def456ghi789", True),
        ("DB_PASSWORD", "hunter2", True),
    ],
)
def test_what_only_looks_like_a_secret(name: str, value: str, secret: bool) -> None:
    assert (inspect(name, value, FP) is not None) == secret
