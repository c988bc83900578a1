"""Definitions as records: whose tokens they present, what they reach, what is wrong with them."""

from __future__ import annotations

from typing import TypeVar

import msgspec
import pytest

from collectors.definitions import Context, Definition, definition_records, parse
from scanner.records import Identity, Link, Record, Secret, StoredSignIn, Weakness
from scanner.secrets.detectors import Fingerprint
from tests.definition_contexts import GITHUB, GITLAB

FP = Fingerprint(b"test-key")
R = TypeVar("R", bound=Record)


def records(kind: type[R], definition: Definition, context: Context) -> list[R]:
    return [record for record in definition_records(definition, context=context) if isinstance(record, kind)]


def identity(source: str, context: Context = GITHUB, path: str = ".github/workflows/deploy.yml") -> Identity:
    (found,) = records(Identity, parse(path, source, FP), context)
    return found


def workflow(on: str, *, head: str = "", permissions: str = "{id-token: write}") -> str:
    return f"name: Deploy\non: {on}\npermissions: {permissions}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n{head}    steps: [{{run: x}}]\n"


REPO = "repo:lanternpay/payments-api"
SUBJECTS = [
    ("{push: {branches: [main]}}", "", [f"{REPO}:ref:refs/heads/main"]),
    ("{push: {branches: ['release/**']}}", "", [f"{REPO}:ref:refs/heads/release/*"]),
    ("{push: {tags: ['v*']}}", "", [f"{REPO}:ref:refs/tags/v*"]),
    ("push", "", [f"{REPO}:ref:refs/heads/*", f"{REPO}:ref:refs/tags/*"]),
    ("pull_request", "", [f"{REPO}:pull_request"]),
    ("schedule", "", [f"{REPO}:ref:refs/heads/main"]),
    ("workflow_run", "", [f"{REPO}:ref:refs/heads/main"]),
    ("release", "", [f"{REPO}:ref:refs/tags/*"]),
    ("workflow_dispatch", "", [f"{REPO}:ref:refs/heads/*", f"{REPO}:ref:refs/tags/*"]),
    ("[push, pull_request]", "    environment: production\n", [f"{REPO}:environment:production"]),
    ("push", "    environment: {name: 'a:b'}\n", [f"{REPO}:environment:a%3Ab"]),
    (
        "{push: {branches: [main]}}",
        "    environment: ${{ inputs.e }}\n",
        [f"{REPO}:environment:*", f"{REPO}:ref:refs/heads/main"],
    ),
    ("pull_request_target", "", [f"{REPO}:pull_request", f"{REPO}:ref:refs/heads/main"]),
    ("{pull_request_target: {branches: [v1]}}", "", [f"{REPO}:pull_request", f"{REPO}:ref:refs/heads/main"]),
    ("deployment_status", "", [f"{REPO}:ref:refs/heads/*", f"{REPO}:ref:refs/tags/*"]),
    ("registry_package", "", [f"{REPO}:ref:refs/heads/*", f"{REPO}:ref:refs/tags/*"]),
    ("pull_request_review", "", [f"{REPO}:pull_request", f"{REPO}:ref:refs/pull/*/merge"]),
    ("push", "    permissions: {}\n", []),
    ("workflow_call", "", []),
]


@pytest.mark.parametrize(("on", "head", "subjects"), SUBJECTS)
def test_subjects_of_github_tokens(on: str, head: str, subjects: list[str]) -> None:
    found = identity(workflow(on, head=head))
    assert found.subjects == subjects
    assert found.issuer == ("https://token.actions.githubusercontent.com" if subjects else None)


def test_without_the_permission_there_is_no_token() -> None:
    found = identity(workflow("push", permissions="{contents: read}"))
    assert (found.subjects, found.issuer, found.tokens) == ([], None, [])


def test_immutable_subjects() -> None:
    context = msgspec.structs.replace(GITHUB, immutable_subject=True)
    found = identity(workflow("{push: {branches: [main]}}"), context)
    assert found.subjects == ["repo:lanternpay@7001001/payments-api@5001:ref:refs/heads/main"]


def test_custom_subjects() -> None:
    context = msgspec.structs.replace(
        GITHUB, claim_keys=["repository_owner_id", "context", "job_workflow_ref", "actor"]
    )
    found = identity(workflow("{push: {branches: [main]}}"), context)
    workflow_ref = "lanternpay/payments-api/.github/workflows/deploy.yml@refs/heads/main"
    assert found.subjects == [
        f"repository_owner_id:7001001:ref:refs/heads/main:job_workflow_ref:{workflow_ref}:actor:*"
    ]


def test_claims_of_github_tokens() -> None:
    login = (
        "[{uses: aws-actions/configure-aws-credentials@v4, with: {role-to-assume: 'arn:aws:iam::1:role/x'}}]"
    )
    source = workflow("{push: {branches: [main]}, schedule: [{cron: '0 0 * * *'}]}").replace(
        "[{run: x}]", login
    )
    found = identity(source, msgspec.structs.replace(GITHUB, visibility="private"))
    (token,) = found.tokens
    assert token == {
        "sub": f"{REPO}:ref:refs/heads/main",
        "environment": "",
        "repository": "lanternpay/payments-api",
        "repository_id": "5001",
        "repository_owner": "lanternpay",
        "repository_owner_id": "7001001",
        "repository_visibility": "private",
        "workflow": "Deploy",
        "workflow_ref": "lanternpay/payments-api/.github/workflows/deploy.yml@refs/heads/main",
        "job_workflow_ref": "lanternpay/payments-api/.github/workflows/deploy.yml@refs/heads/main",
        "ref": "refs/heads/main",
        "ref_type": "branch",
        "event_name": "*",
        "aud": "sts.amazonaws.com",
    }


@pytest.mark.parametrize(
    ("calls", "job_workflow_ref"),
    [
        ("./.github/workflows/x.yml", "lanternpay/payments-api/.github/workflows/x.yml@refs/heads/main"),
        ("acme/ci/.github/workflows/x.yml@v1", "acme/ci/.github/workflows/x.yml@refs/*/v1"),
        (f"acme/ci/.github/workflows/x.yml@{'a' * 40}", f"acme/ci/.github/workflows/x.yml@{'a' * 40}"),
    ],
)
def test_a_called_workflow_is_named_in_the_token(calls: str, job_workflow_ref: str) -> None:
    source = f"on: {{push: {{branches: [main]}}}}\npermissions: {{id-token: write}}\njobs:\n  a: {{uses: {calls}}}\n"
    assert {token["job_workflow_ref"] for token in identity(source).tokens} == {job_workflow_ref}


def test_the_identity_of_a_workflow() -> None:
    found = identity(
        "name: Deploy\non: [push, pull_request_target]\npermissions: {contents: read}\njobs:\n"
        "  a:\n    runs-on: self-hosted\n    environment: production\n    permissions: {id-token: write, contents: write}\n"
        "    steps: [{run: x, env: {A: '${{ secrets.A }}', B: '${{ vars.B }}'}}]\n"
        "  b:\n    runs-on: ubuntu-24.04\n    steps: [{run: x}]\n"
    )
    assert found.id == "github:workflow:5001:.github/workflows/deploy.yml"
    assert (found.surface, found.kind, found.name) == ("automation", "github-workflow", "Deploy")
    assert found.address == "lanternpay/payments-api/.github/workflows/deploy.yml"
    assert found.location == ".github/workflows/deploy.yml:1"
    assert found.triggers == ["pull_request_target", "push"]
    assert found.dangerous_triggers == ["pull_request_target"]
    assert found.permissions == ["contents:write", "id-token:write"]
    assert (found.secrets, found.variables, found.environments) == (["A"], ["B"], ["production"])
    assert (found.runner, found.environment, found.enabled) == ("self-hosted", "production", None)


def test_default_permissions_are_reported() -> None:
    source = "on: push\njobs: {a: {runs-on: ubuntu-24.04, steps: [{run: x}]}}\n"
    assert identity(source).permissions == ["default"]


def test_roles_become_links_and_variables_are_filled_in() -> None:
    source = (
        "on: push\npermissions: {id-token: write}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n"
        + "".join(
            f"      - uses: aws-actions/configure-aws-credentials@v4\n        with: {{role-to-assume: '{role}'}}\n"
            for role in (
                "arn:aws:iam::1:role/a",
                "${{ vars.ROLE }}",
                "arn:aws:iam::${{ vars.ACCOUNT }}:role/c",
                "${{ secrets.HIDDEN }}",
                "${{ vars.MISSING }}",
                "arn:aws:iam::1:role/a",
            )
        )
    )
    definition = parse(".github/workflows/d.yml", source, FP)
    context = msgspec.structs.replace(
        GITHUB, variables={"ROLE": "arn:aws:iam::2:role/b", "ACCOUNT": "300000000003"}
    )
    assert [
        (link.relation, link.source_id, link.target_id, link.evidence)
        for link in records(Link, definition, context)
    ] == [
        ("uses", "github:workflow:5001:.github/workflows/d.yml", "arn:aws:iam::1:role/a", ".github/workflows/d.yml:7"),
        ("uses", "github:workflow:5001:.github/workflows/d.yml", "arn:aws:iam::2:role/b", ".github/workflows/d.yml:9"),
        ("uses", "github:workflow:5001:.github/workflows/d.yml", "arn:aws:iam::300000000003:role/c", ".github/workflows/d.yml:11"),
    ]  # fmt: skip


def test_called_workflows_of_the_same_owner_become_links() -> None:
    source = (
        "on: push\njobs:\n  a: {uses: ./.github/workflows/x.yml}\n"
        "  b: {uses: lanternpay/shared/.github/workflows/y.yml@main}\n  c: {uses: acme/ci/.github/workflows/z.yml@main}\n"
    )
    assert [
        link.target_id for link in records(Link, parse(".github/workflows/d.yml", source, FP), GITHUB)
    ] == [
        "lanternpay/payments-api/.github/workflows/x.yml",
        "lanternpay/shared/.github/workflows/y.yml",
    ]


def test_deployments_become_links() -> None:
    source = "on: push\njobs: {a: {runs-on: ubuntu-24.04, steps: [{run: 'aws ecs update-service --cluster web --service shop'}]}}\n"
    definition = parse(".github/workflows/d.yml", source, FP)
    (link,) = records(Link, definition, GITHUB)
    assert (link.relation, link.target_id) == ("deploys", "aws:ecs-service-name:web/shop")


def test_hard_coded_values_become_secrets_without_their_value() -> None:
    key = "AKIA" + "QWERTYUIOPASDFGH"
    source = f"on: push\nenv: {{AWS_ACCESS_KEY_ID: {key}, DB_PASSWORD: hunter2}}\njobs: {{a: {{env: {{DB_PASSWORD: hunter2}}, steps: []}}}}\n"
    found = records(Secret, parse(".github/workflows/d.yml", source, FP), GITHUB)
    assert [(s.id, s.name, s.location, s.looks_like, s.credential_id, s.readable) for s in found] == [
        ("github:ci-file:5001:.github/workflows/d.yml:AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID", ".github/workflows/d.yml:2", "aws-access-key-id", f"aws:access-key:{key}", True),
        ("github:ci-file:5001:.github/workflows/d.yml:DB_PASSWORD", "DB_PASSWORD", ".github/workflows/d.yml:2", "password", None, True),
        ("github:ci-file:5001:.github/workflows/d.yml:DB_PASSWORD#2", "DB_PASSWORD", ".github/workflows/d.yml:3", "password", None, True),
    ]  # fmt: skip
    assert found[1].fingerprint == FP("hunter2")
    assert "hunter2" not in repr(found)


def test_problems_become_weaknesses_that_keep_their_id_when_lines_move() -> None:
    source = (
        "on: pull_request_target\npermissions: {}\njobs: {a: {runs-on: ubuntu-24.04, steps: [{run: x}]}}\n"
    )
    (before,) = records(Weakness, parse(".github/workflows/d.yml", source, FP), GITHUB)
    (after,) = records(Weakness, parse(".github/workflows/d.yml", "# moved\n" + source, FP), GITHUB)
    assert (before.code, before.severity, before.confidence) == ("dangerous-triggers", "high", "high")
    assert before.path == after.path == ".github/workflows/d.yml"
    assert (before.line, after.line) == (1, 2)
    assert before.subject_id == "github:workflow:5001:.github/workflows/d.yml"
    assert before.fix.endswith(".")
    assert not before.what.endswith(".")
    assert before.id == after.id


def test_ids_are_unique() -> None:
    step = "{uses: a/b@v1}, {run: 'echo ${{ github.head_ref }}', env: {DB_PASSWORD: hunter2}}"
    source = f"on: push\njobs: {{a: {{steps: [{step}, {step}]}}, b: {{steps: [{step}]}}}}\n"
    ids = [
        record.id
        for record in definition_records(parse(".github/workflows/d.yml", source, FP), context=GITHUB)
    ]
    assert len(ids) == len(set(ids))


GITLAB_SOURCE = """\
deploy:
  environment: production
  id_tokens: {T: {aud: sts.amazonaws.com}}
  rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]
  script: [aws sts assume-role-with-web-identity --role-arn $ROLE]
"""


def test_gitlab_pipelines() -> None:
    definition = parse(".gitlab-ci.yml", GITLAB_SOURCE, FP)
    context = msgspec.structs.replace(GITLAB, variables={"ROLE": "arn:aws:iam::1:role/deploy-risk"})
    (found,) = records(Identity, definition, context)
    assert (found.id, found.kind, found.address) == (
        "gitlab:pipeline:9001",
        "gitlab-pipeline",
        "lantern/risk-engine",
    )
    assert found.issuer == "https://gitlab.com"
    assert found.subjects == ["project_path:lantern/risk-engine:ref_type:branch:ref:trunk"]
    (token,) = found.tokens
    assert token == {
        "sub": "project_path:lantern/risk-engine:ref_type:branch:ref:trunk",
        "project_path": "lantern/risk-engine",
        "project_id": "9001",
        "namespace_path": "lantern",
        "namespace_id": "8001",
        "ref": "trunk",
        "ref_type": "branch",
        "aud": "sts.amazonaws.com",
        "environment": "production",
    }
    assert [link.target_id for link in records(Link, definition, context)] == [
        "arn:aws:iam::1:role/deploy-risk"
    ]


def test_gitlab_without_rules_is_any_ref() -> None:
    source = "a: {id_tokens: {T: {aud: x}}, script: x}\n"
    found = identity(
        source, msgspec.structs.replace(GITLAB, issuer="https://git.lantern.example"), ".gitlab-ci.yml"
    )
    assert found.issuer == "https://git.lantern.example"
    assert found.subjects == [
        "project_path:lantern/risk-engine:ref_type:branch:ref:*",
        "project_path:lantern/risk-engine:ref_type:tag:ref:*",
    ]


def test_definitions_survive_being_remembered() -> None:
    definition = parse(".gitlab-ci.yml", GITLAB_SOURCE, FP)
    assert msgspec.json.decode(msgspec.json.encode(definition), type=Definition) == definition


STATIC_AZURE = """
on: push
jobs:
  apply:
    runs-on: ubuntu-24.04
    env:
      ARM_CLIENT_ID: ${{ vars.DEPLOYER }}
      ARM_CLIENT_SECRET: ${{ secrets.DEPLOYER_SECRET }}
    steps: [{run: terraform apply}]
"""


def test_a_sign_in_with_a_stored_secret_names_the_secret_and_the_application() -> None:
    known = msgspec.structs.replace(GITHUB, variables={"DEPLOYER": "149d271f-af69-5d98-b2f7-b47982385669"})
    expected = StoredSignIn(
        service="azure",
        names=["DEPLOYER_SECRET"],
        target="entra:application:149d271f-af69-5d98-b2f7-b47982385669",
    )
    assert identity(STATIC_AZURE, known).sign_ins == [expected]
    assert identity(STATIC_AZURE).sign_ins == [msgspec.structs.replace(expected, target=None)]


def test_a_federated_sign_in_has_no_stored_secret() -> None:
    assert identity(workflow("push")).sign_ins == []
