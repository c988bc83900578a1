"""The definition files of the other systems."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.definitions import Definition, DefinitionError, parse
from collectors.definitions.definition import Unresolved
from scanner.secrets.detectors import Fingerprint

FP = Fingerprint(b"test-key")


def read(path: str, source: str) -> Definition:
    return parse(path, source, FP, owner="lantern")


def codes(found: Definition) -> set[tuple[str, int]]:
    return {(problem.code, problem.line) for problem in found.problems}


GITLAB = """\
include:
  - project: lantern/templates
    ref: 0123456789012345678901234567890123456789
    file: deploy.yml
  - project: others/templates
    ref: main
  - local: ci/test.yml
  - remote: https://example.org/x.yml
  - component: gitlab.com/others/scan/run@1.2.0
variables:
  ROLE: arn:aws:iam::200000000002:role/deploy-risk
  DB_PASSWORD: hunter2
.login:
  id_tokens:
    AWS_TOKEN: {aud: sts.amazonaws.com}
  before_script:
    - aws sts assume-role-with-web-identity --role-arn $ROLE --web-identity-token $AWS_TOKEN
deploy:
  extends: .login
  image: amazon/aws-cli
  environment: {name: production}
  tags: [saas-linux-small-amd64]
  rules:
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  secrets:
    KEY: {vault: prod/db/password@ops}
  script:
    - aws ecs update-service --cluster core --service risk-engine
    - curl -H "Token $API_TOKEN" https://example.org/$SETTING
publish:
  only: [tags]
  script:
    - !reference [.login, before_script]
    - echo $DEPLOY_TOKEN
    - eval "$CI_COMMIT_MESSAGE"
"""


def test_gitlab() -> None:
    found = read(".gitlab-ci.yml", GITLAB)
    assert found.format == "gitlab-ci"
    assert [(job.name, job.line, job.environment, job.identity_token, job.refs) for job in found.jobs] == [
        ("deploy", 18, "production", True, ["refs/heads/$CI_DEFAULT_BRANCH"]),
        ("publish", 30, None, False, ["refs/tags/*"]),
    ]
    assert [
        (login.service, login.how, login.targets, login.audience, login.line, login.job)
        for login in found.logins
    ] == [("aws", "oidc", ["arn:aws:iam::200000000002:role/deploy-risk"], "sts.amazonaws.com", 15, "deploy")]
    assert [(ref.name, ref.line, ref.store) for ref in found.secrets] == [
        ("API_TOKEN", 29, None),
        ("prod/db/password@ops", 26, "vault"),
        ("AWS_TOKEN", 17, None),
        ("DEPLOY_TOKEN", 34, None),
    ]
    assert [(ref.name, ref.line) for ref in found.variables] == [("SETTING", 29)]
    assert [(deploy.target, deploy.environment) for deploy in found.deploys] == [
        ("aws:ecs-service-name:core/risk-engine", "production")
    ]
    assert [(use.kind, use.name, use.pin, use.third_party) for use in found.uses] == [
        ("include", "lantern/templates", "sha", False),
        ("include", "others/templates", "branch", True),
        ("include", "ci/test.yml", "local", False),
        ("include", "https://example.org/x.yml", "none", True),
        ("component", "gitlab.com/others/scan/run", "tag", True),
        ("image", "amazon/aws-cli", "none", True),
    ]
    assert [(hard.name, hard.line) for hard in found.hard_coded] == [("DB_PASSWORD", 12)]
    assert codes(found) == {
        ("unpinned-include", 5),
        ("unpinned-include", 8),
        ("unpinned-include", 9),
        ("unpinned-images", 20),
        ("secrets-in-output", 34),
        ("template-injection", 35),
    }
    assert "hunter2" not in repr(found)


def test_gitlab_static_login_and_look_alike() -> None:
    static = read(
        ".gitlab-ci.yml", "a:\n  script: [aws configure set aws_secret_access_key $AWS_SECRET_ACCESS_KEY]\n"
    )
    assert [(login.service, login.how, login.secrets) for login in static.logins] == [
        ("aws", "static", ["AWS_SECRET_ACCESS_KEY"])
    ]
    assert ("static-cloud-login", 1) in codes(static)
    plain = read(".gitlab-ci.yml", "a:\n  script: [aws s3 ls, 'echo \"$CI_COMMIT_MESSAGE\"']\n")
    assert plain.logins == []
    assert plain.problems == []


def test_gitlab_extends_that_is_elsewhere_is_reported() -> None:
    found = read(".gitlab-ci.yml", "a:\n  extends: .hidden\n  script: x\nb:\n  trigger: lantern/other\n")
    assert found.unresolved == [
        Unresolved(line=1, what="`a` extends .hidden, which is not in this file"),
        Unresolved(line=4, what="`b` triggers lantern/other"),
    ]


def test_gitlab_debug_trace() -> None:
    assert ("debug-enabled", 1) in codes(read(".gitlab-ci.yml", "variables: {CI_DEBUG_TRACE: 'true'}\n"))
    assert read(".gitlab-ci.yml", "variables: {CI_DEBUG_TRACE: 'false'}\n").problems == []


AZURE = """\
trigger:
  branches: {include: [main]}
variables:
  - group: production-secrets
  - name: API_PASSWORD
    value: hunter2
parameters:
  - name: target
    type: string
  - name: size
    type: string
    values: [small, large]
resources:
  repositories:
    - repository: shared
      type: github
      name: others/templates
      endpoint: github-connection
stages:
  - stage: deploy
    jobs:
      - deployment: web
        pool: Default
        environment: production
        strategy:
          runOnce:
            deploy:
              steps:
                - checkout: self
                  persistCredentials: true
                - task: AzureKeyVault@2
                  inputs: {azureSubscription: prod-connection, KeyVaultName: vault-1, SecretsFilter: 'a,b'}
                - task: AzureWebApp@1
                  inputs: {azureSubscription: prod-connection, appName: shop-web}
                - bash: |
                    echo $(Build.SourceBranchName)
                    deploy ${{ parameters.target }} ${{ parameters.size }}
                  env: {TOKEN: $(System.AccessToken)}
      - job: test
        pool: {vmImage: ubuntu-24.04}
        steps:
          - template: steps/test.yml@shared
          - script: echo ok
"""


def test_azure_pipelines() -> None:
    found = read("azure-pipelines.yml", AZURE)
    assert found.triggers == {"push": ["refs/heads/main"]}
    assert [(ref.name, ref.line, ref.store) for ref in found.secrets] == [
        ("github-connection", 18, "service-connection"),
        ("production-secrets", 4, "variable-group"),
        ("prod-connection", 32, "service-connection"),
        ("a", 31, "key-vault:vault-1"),
        ("b", 31, "key-vault:vault-1"),
        ("prod-connection", 34, "service-connection"),
        ("System.AccessToken", 38, None),
    ]
    assert [(job.name, job.environment, job.runner.kind if job.runner else None) for job in found.jobs] == [
        ("web", "production", "self-hosted"),
        ("test", None, "hosted"),
    ]
    assert [deploy.target for deploy in found.deploys] == ["azure:webapp-name:shop-web"]
    assert [(hard.name, hard.line) for hard in found.hard_coded] == [("API_PASSWORD", 6)]
    assert codes(found) == {
        ("unpinned-include", 15),
        ("self-hosted-runner", 23),
        ("artipacked", 29),
        ("template-injection", 36),
        ("template-injection", 37),
    }
    assert found.unresolved == [Unresolved(line=42, what="the template steps/test.yml@shared")]


BITBUCKET = """\
image: node:22
pipelines:
  branches:
    main:
      - step:
          name: Deploy
          oidc: true
          deployment: production
          runs-on: [self.hosted, linux]
          script:
            - pipe: atlassian/aws-ecs-deploy:2.0.0
              variables: {AWS_OIDC_ROLE_ARN: 'arn:aws:iam::1:role/x', CLUSTER_NAME: web, SERVICE_NAME: shop}
            - pipe: docker://others/notify
              variables: {TOKEN: $NOTIFY_TOKEN}
  pull-requests:
    '**':
      - parallel:
          - step:
              script: [npm test, export AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY]
"""


def test_bitbucket_pipelines() -> None:
    found = read("bitbucket-pipelines.yml", BITBUCKET)
    assert found.triggers == {"push": ["refs/heads/main"], "pull_request": []}
    assert [(login.service, login.how, login.targets, login.environment) for login in found.logins] == [
        ("aws", "oidc", ["arn:aws:iam::1:role/x"], "production"),
        ("aws", "static", [], None),
    ]
    assert [deploy.target for deploy in found.deploys] == ["aws:ecs-service-name:web/shop"]
    assert {ref.name for ref in found.secrets} == {"NOTIFY_TOKEN", "AWS_SECRET_ACCESS_KEY"}
    assert [
        (job.name, job.identity_token, job.runner.kind if job.runner else None) for job in found.jobs
    ] == [
        ("main: Deploy", True, "self-hosted"),
        ("**: step", False, "hosted"),
    ]
    assert {code for code, _ in codes(found)} == {
        "unpinned-images",
        "unpinned-uses",
        "self-hosted-runner",
        "static-cloud-login",
    }


CLOUDBUILD = """\
steps:
  - name: gcr.io/google.com/cloudsdktool/cloud-sdk
    entrypoint: gcloud
    args: [run, deploy, shop, --image, x]
    secretEnv: [DB]
  - name: bash
    script: |
      curl -fsSL https://example.org/i.sh | sh
    env: ['API_PASSWORD=hunter2']
availableSecrets:
  secretManager:
    - versionName: projects/lantern/secrets/db-password/versions/latest
      env: DB
serviceAccount: projects/lantern/serviceAccounts/build@lantern.iam.gserviceaccount.com
"""


def test_cloud_build() -> None:
    found = read("cloudbuild.yaml", CLOUDBUILD)
    assert [(ref.name, ref.line, ref.store) for ref in found.secrets] == [
        ("db-password", 12, "secret-manager")
    ]
    assert found.service_accounts == [
        "projects/lantern/serviceAccounts/build@lantern.iam.gserviceaccount.com"
    ]
    assert [deploy.target for deploy in found.deploys] == ["gcp:cloud-run-service-name:shop"]
    assert [(hard.name, hard.line) for hard in found.hard_coded] == [("API_PASSWORD", 9)]
    assert [(use.name, use.secrets) for use in found.uses] == [
        ("gcr.io/google.com/cloudsdktool/cloud-sdk", ["db-password"]),
        ("bash", []),
    ]
    assert ("unverified-script", 8) in codes(found)


BUILDSPEC = """\
version: 0.2
env:
  variables: {STAGE: prod, DB_PASSWORD: hunter2}
  parameter-store: {API: /prod/api-key}
  secrets-manager: {TOKEN: 'prod/token:key'}
  exported-variables: [STAGE]
phases:
  build:
    commands:
      - aws lambda update-function-code --function-name fn-$STAGE --zip-file fileb://x
"""


def test_buildspec() -> None:
    found = read("buildspec.yml", BUILDSPEC)
    assert [(ref.name, ref.store) for ref in found.secrets] == [
        ("/prod/api-key", "parameter-store"),
        ("prod/token", "secrets-manager"),
    ]
    assert [(hard.name, hard.line) for hard in found.hard_coded] == [("DB_PASSWORD", 3)]
    assert [deploy.target for deploy in found.deploys] == ["aws:lambda-function-name:fn-prod"]
    assert found.unresolved == [Unresolved(line=1, what="the role is set on the CodeBuild project")]


JENKINS = """\
@Library('shared@main') _
pipeline {
  agent { label 'linux' }
  environment {
    API_PASSWORD = 'hunter2'
    DB = credentials('db-login')
  }
  stages {
    stage('Deploy') {
      steps {
        // credentials('commented-out')
        withCredentials([string(credentialsId: 'api-token', variable: 'T')]) {
          sh "deploy ${CHANGE_TITLE}"
          sh 'deploy "$CHANGE_TITLE"'
        }
        withAWS(credentials: 'aws-prod', region: 'eu-west-1') {
          sh '''
            aws lambda update-function-code --function-name shop --zip-file x
          '''
        }
        sshagent(['deploy-key']) { sh 'true' }
      }
    }
  }
}
"""


def test_jenkinsfile() -> None:
    found = read("Jenkinsfile", JENKINS)
    assert found.confidence == "low"
    assert [(ref.name, ref.line) for ref in found.secrets] == [
        ("db-login", 6),
        ("api-token", 12),
        ("aws-prod", 16),
        ("deploy-key", 21),
    ]
    assert [(login.service, login.how, login.secrets) for login in found.logins] == [
        ("aws", "static", ["aws-prod"])
    ]
    assert [(deploy.target, deploy.line) for deploy in found.deploys] == [
        ("aws:lambda-function-name:shop", 18)
    ]
    assert [(hard.name, hard.line) for hard in found.hard_coded] == [("API_PASSWORD", 5)]
    assert codes(found) == {("unpinned-include", 1), ("template-injection", 13), ("static-cloud-login", 16)}


PATHS = (
    ".github/workflows/a.yml",
    "action.yml",
    ".gitlab-ci.yml",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
    "cloudbuild.yaml",
    "buildspec.yml",
    "Jenkinsfile",
)


@pytest.mark.parametrize("path", PATHS[:-1])
@pytest.mark.parametrize("source", ["", "- a\n", "just text\n", "a: [\n"])
def test_what_is_no_definition_is_refused(path: str, source: str) -> None:
    with pytest.raises(DefinitionError):
        read(path, source)


def test_unknown_files_are_refused() -> None:
    with pytest.raises(DefinitionError) as caught:
        read("README.md", "")
    assert caught.value.reason == "unread"


KEYS = ("jobs", "steps", "script", "on", "env", "variables", "include", "a", "b", "image", "run", "uses", "with", "pipelines", "step",
        "stages", "stage", "job", "rules", "if", "environment", "secrets", "id_tokens", "extends", "trigger", "pool", "services",
        "container", "credentials", "strategy", "matrix", "permissions", "runs", "phases", "commands", "resources", "args",
        "availableSecrets", "secretManager", "definitions", "default", "branches", "parallel", "pipe", "template", "task", "inputs")  # fmt: skip
VALUES = st.recursive(
    st.sampled_from(["", "x", "true", "~", "'${{ secrets.A }}'", "a@b", "[a]", "$X", "arn:aws:iam::1:role/x", "1", "'*'", "!reference [a, b]"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]"),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=4).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
        ),
    ),
    max_leaves=25,
)  # fmt: skip


@given(st.sampled_from(PATHS), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6))
def test_odd_shapes_give_a_definition_or_the_one_error(path: str, document: dict[str, str]) -> None:
    source = "".join(f"{key}: {value}\n" for key, value in document.items())
    try:
        found = read(path, source)
    except DefinitionError as exc:
        assert str(exc)  # noqa: PT017  either outcome is right
        return
    assert found.path == path


HEAD = "on: pull_request_target\npermissions: {}\n"
STEP = f"{HEAD}jobs:\n  a:\n    steps:\n      - run: |\n"
HOSTILE = [
    (".github/workflows/a.yml", STEP + "          echo ${{ github.event.issue.title }}\n" * 20_000),
    (".github/workflows/a.yml", STEP + "          curl " + "curl " * 200_000 + "\n"),
    (".github/workflows/a.yml", STEP + "          " + "${{ " * 200_000 + "\n"),
    (".github/workflows/a.yml", f"{HEAD}jobs:\n  a:\n    steps:\n      - run: '{'${{ github.head_ref }} ' * 50_000}'\n"),
    (".github/workflows/a.yml", f"{HEAD}env:\n{''.join(f'  A{n}: x' + chr(10) for n in range(5000))}jobs:\n  a:\n    steps:\n{'      - run: x' + chr(10)}" + "      - run: x\n" * 5000),
    (".github/workflows/a.yml", HEAD + "env:\n" + "".join(f"  A{n}: '{f'${{{{ env.A{n + 1} }}}}' * 300}'\n" for n in range(8)) + "jobs: {a: {environment: '${{ env.A0 }}', steps: [{uses: azure/login@v2, with: {client-id: '${{ env.A0 }}'}}]}}\n"),
    (".gitlab-ci.yml", "".join(f".a{n}: {{extends: [{', '.join([f'.a{n + 1}'] * 50)}]}}\n" for n in range(11)) + "j: {extends: .a0, script: x}\n"),
    (".gitlab-ci.yml", "".join(f".a{n}: {{script: [{', '.join([f'!reference [.a{n + 1}, script]'] * 50)}]}}\n" for n in range(9)) + ".a9: {script: [x]}\nj: {script: [!reference [.a0, script]]}\n"),
    (".gitlab-ci.yml", "".join(f".a{n}: {{extends: .a{n + 1}}}\n" for n in range(3000)) + "j: {extends: .a0, script: x}\n"),
    (".gitlab-ci.yml", "".join(f".a{n}: {{script: [!reference [.a{n + 1}, script]]}}\n" for n in range(3000)) + "j: {script: [!reference [.a0, script]]}\n"),
    (".gitlab-ci.yml", "a: {extends: b, script: [!reference [a, script]]}\nb: {extends: a}\n"),
    (".gitlab-ci.yml", "variables:\n" + "".join(f"  A{n}: '{f'$A{n + 1}' * 90}'\n" for n in range(6)) + f"j: {{script: ['{'$A0 ' * 40_000}aws lambda update-function-code --function-name $A0']}}\n"),
    ("Jenkinsfile", "sh '''" * 30_000),
    ("Jenkinsfile", "withAWS(" * 30_000),
    ("Jenkinsfile", "/*" * 100_000),
]  # fmt: skip


@pytest.mark.parametrize(("path", "source"), HOSTILE)
def test_hostile_definitions_do_not_hang(path: str, source: str) -> None:
    begun = time.process_time()
    with contextlib.suppress(DefinitionError):
        read(path, source)
    assert time.process_time() - begun < 20
