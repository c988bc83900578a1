"""How Azure Pipelines, GitLab, Bitbucket, Cloud Build and CodeBuild definitions sign in, and which secrets they take."""

from __future__ import annotations

import pytest

from collectors.definitions import Definition, parse
from collectors.definitions.definition import Unresolved
from scanner.secrets.detectors import Fingerprint

FP = Fingerprint(b"test-key")
PASSWORD = "Wq3v" + "Xz8LmN"
ROLE = "arn:aws:iam::200000000002:role/deploy"


def read(path: str, source: str) -> Definition:
    return parse(path, source, FP, owner="lantern")


def azure(source: str) -> Definition:
    return read("azure-pipelines.yml", source)


def gitlab(source: str) -> Definition:
    return read(".gitlab-ci.yml", source)


def stored(found: Definition) -> list[tuple[str, str | None]]:
    return [(ref.name, ref.store) for ref in found.secrets]


def logins(found: Definition) -> list[str]:
    return [
        f"{login.service}:{login.how}:{','.join(login.targets or login.secrets)}" for login in found.logins
    ]


@pytest.mark.parametrize(
    "name",
    [
        "azureSubscription", "azureSubscriptionEndpoint", "azureSubscriptionForACR", "ConnectedServiceName",
        "connectedServiceNameARM", "azureResourceManagerConnection", "backendServiceArm", "environmentServiceName",
        "environmentServiceNameAzureRM", "awsCredentials", "containerRegistry", "dockerRegistryEndpoint",
        "dockerRegistryServiceConnection", "kubernetesServiceConnection", "kubernetesServiceEndpoint", "serviceConnection",
        "sshEndpoint", "endpoint", "customEndpoint", "publishEndpoint", "publishFeedCredentials", "nuGetServiceConnections",
        "pythonDownloadServiceConnections", "SonarQube", "SonarCloud", "gitHubConnection", "serviceConnectionEndpoint",
    ],
)  # fmt: skip
def test_service_connections_of_all_spellings(name: str) -> None:
    found = azure(f"steps:\n- task: Some@1\n  inputs: {{{name}: prod}}\n")
    assert stored(found) == [("prod", "service-connection")]
    assert found.hard_coded == []


@pytest.mark.parametrize(
    "inputs",
    [
        "connectedServiceNameSelector: connectedServiceNameARM",
        "azureConnectionType: Azure Resource Manager",
        "connectionType: Kubernetes Service Connection",
        "azureContainerRegistry: acme.azurecr.io",
        "serviceEndpoint: https://api.example.org",
        "useServiceConnection: true",
        "displayName: azureSubscription",
    ],
)
def test_inputs_that_only_sound_like_connections(inputs: str) -> None:
    assert stored(azure(f"steps:\n- task: Some@1\n  inputs: {{{inputs}}}\n")) == []


def test_connections_are_filled_in_from_variables_and_defaults() -> None:
    found = azure(
        "parameters:\n- {name: conn, type: string, default: by-default}\n- {name: open, type: string}\n"
        "variables:\n- {name: sub, value: by-variable}\n- group: 'vars-${{ parameters.open }}'\n"
        "steps:\n- task: A@1\n  inputs: {azureSubscription: $(sub)}\n- task: A@1\n  inputs: {azureSubscription: '${{ variables.sub }}'}\n"
        "- task: A@1\n  inputs: {azureSubscription: '${{ parameters.conn }}'}\n- task: A@1\n  inputs: {azureSubscription: '${{ parameters.open }}'}\n"
    )
    assert [name for name, _ in stored(found)] == [
        "vars-${{ parameters.open }}", "by-variable", "by-variable", "by-default", "${{ parameters.open }}"
    ]  # fmt: skip


def test_what_is_handed_to_templates_is_read() -> None:
    found = azure(
        "resources:\n  repositories:\n  - {repository: t, type: git, name: p/t, ref: refs/tags/v1}\n"
        "extends:\n  template: secure.yml@t\n  parameters:\n    serviceConnection: prod\n    note: plain\n    stages:\n"
        "    - stage: a\n      pool: {name: own}\n      jobs:\n      - deployment: d\n        environment: {name: web, resourceName: r}\n"
        "        strategy: {runOnce: {deploy: {steps: [{task: H@0, inputs: {kubernetesServiceEndpoint: aks}}]}}}\n"
    )
    assert stored(found) == [("prod", "service-connection"), ("aks", "service-connection")]
    assert [(use.name, use.pin) for use in found.uses] == [("p/t", "tag"), ("secure.yml", "tag")]
    assert [(job.name, job.environment, job.runner and job.runner.kind) for job in found.jobs] == [
        ("d", "web", "self-hosted")
    ]


def test_every_branch_of_a_template_expression_is_read() -> None:
    found = azure(
        "variables:\n- ${{ if x }}:\n  - group: prod\n- ${{ else }}:\n  - {name: dbPassword, value: "
        + PASSWORD
        + "}\n"
        "jobs:\n- ${{ each e in parameters.es }}:\n  - job: a\n    pool: {vmImage: x}\n    steps:\n    - ${{ if y }}:\n"
        "      - task: B@1\n        inputs:\n          ${{ if z }}:\n            azureSubscription: sub\n"
    )
    assert stored(found) == [("prod", "variable-group"), ("sub", "service-connection")]
    assert [hard.line for hard in found.hard_coded] == [5]
    assert [job.name for job in found.jobs] == ["a"]


def test_azure_secrets_of_scripts_and_resources_of_environments() -> None:
    found = azure(
        "stages:\n- stage: s\n  jobs:\n  - deployment: d\n    environment: shop.namespace\n    strategy: {runOnce: {deploy: {steps: [\n"
        "      {bash: 'docker login x -u $(user) -p $(registry-password)'}, {bash: 'run', env: {AWS_SECRET_ACCESS_KEY: $(prod-key)}},\n"
        "      {bash: 'az login --service-principal -u a --federated-token $idToken'}, {task: S@1, inputs: {secureFile: k.p12}}]}}}\n"
    )
    assert stored(found) == [("registry-password", None), ("prod-key", None), ("k.p12", "secure-file")]
    assert logins(found) == ["registry:static:registry-password", "aws:static:prod-key"]
    assert [job.environment for job in found.jobs] == ["shop"]


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ("id_tokens: {T: {aud: 'https://gitlab.com'}}\n  script: [aws sts assume-role-with-web-identity --role-arn $R --web-identity-token $T]", ["aws:oidc:$R"]),
        (f"variables: {{AWS_ROLE_ARN: '{ROLE}'}}\n  id_tokens: {{T: {{aud: x}}}}\n  script: ['echo $T > $AWS_WEB_IDENTITY_TOKEN_FILE', terraform apply]", [f"aws:oidc:{ROLE}"]),
        ("id_tokens: {T: {aud: 'https://v.example.org'}}\n  script:\n  - |\n    vault write auth/jwt/login \\\n      role=ci jwt=$T", ["vault:oidc:ci"]),
        ("id_tokens: {T: {aud: '//iam.googleapis.com/projects/1'}}\n  script: [gcloud iam workload-identity-pools create-cred-config x --service-account=$SA]", ["gcp:oidc:$SA"]),
        ("id_tokens: {T: {aud: api://AzureADTokenExchange}}\n  script: [az login --service-principal -u $ID --federated-token $T]", ["azure:oidc:$ID"]),
        ("id_tokens: {A: {aud: sts.amazonaws.com}, S: {aud: sigstore}}\n  script: [aws sts assume-role-with-web-identity --role-arn $R --web-identity-token $A]", ["aws:oidc:$R", "sigstore:oidc:"]),
        ("script: [vault write auth/jwt/login role=old jwt=$CI_JOB_JWT]", ["vault:oidc:old"]),
        (f"secrets: {{S: {{aws_secrets_manager: {{secret_id: a, role_arn: '{ROLE}'}}}}}}\n  script: [x]", [f"aws:oidc:{ROLE}"]),
        ("variables: {AWS_SECRET_ACCESS_KEY: $PROD_SECRET}\n  script: [x]", ["aws:static:PROD_SECRET"]),
        ("script: ['gcloud auth login --cred-file=wif.json', aws s3 ls]", []),
        ("variables: {AWS_SECRET_ACCESS_KEY: test, AWS_REGION: x}\n  script: [x]", []),
    ],
)  # fmt: skip
def test_gitlab_logins(job: str, expected: list[str]) -> None:
    assert logins(gitlab(f"a:\n  {job}\n")) == expected


def test_gitlab_tokens_by_default_are_those_of_jobs_that_take_them() -> None:
    found = gitlab(
        "default: {id_tokens: {T: {aud: sigstore}}}\na: {script: x}\nb: {script: x, inherit: {default: false}}\n"
        "c: {script: x, inherit: {default: [image]}}\nd: {trigger: lantern/other}\n"
    )
    assert [job.name for job in found.jobs if job.identity_token] == ["a"]
    assert [login.job for login in found.logins] == ["a"]


def test_gitlab_variables_that_only_look_like_the_platforms() -> None:
    found = gitlab(
        "a:\n  script: [use $GITLAB_TOKEN $CI_PUSH_TOKEN $CI_JOB_TOKEN $CI_REGISTRY_PASSWORD $CI_COMMIT_SHA]\n"
    )
    assert [ref.name for ref in found.secrets] == ["GITLAB_TOKEN", "CI_PUSH_TOKEN"]
    assert found.variables == []


def test_gitlab_values_of_matrices_rules_and_templates_are_evaluated_once() -> None:
    found = gitlab(
        f".t: {{variables: {{DB_PASSWORD: {PASSWORD}}}}}\na: {{extends: .t, script: x}}\nb: {{extends: .t, script: x}}\n"
        f"c:\n  parallel: {{matrix: [{{API_TOKEN: [{PASSWORD}x], REGION: [eu]}}]}}\n  script: x\n"
        f"d:\n  rules: [{{if: a, variables: {{API_TOKEN: {PASSWORD}y}}}}]\n  script: x\n"
    )
    assert [hard.line for hard in found.hard_coded] == [1, 5, 8]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("oidc: true\n      script: ['export AWS_ROLE_ARN=$ROLE_QA', x]", ["aws:oidc:$ROLE_QA"]),
        ("oidc: {audience: x}\n      script: [oci-token-exchange]", ["unknown:oidc:"]),
        (f"image: {{name: x@sha256:{'0a' * 32}, aws: {{oidc-role: '{ROLE}'}}}}\n      script: [x]", [f"aws:oidc:{ROLE}"]),
        ("script: [{pipe: 'atlassian/aws-s3-deploy:1.1.0', variables: {AWS_ACCESS_KEY_ID: $A, AWS_SECRET_ACCESS_KEY: $B}}]", ["aws:static:A,B"]),
        ("script: [{pipe: 'atlassian/aws-s3-deploy:1.1.0', variables: {S3_BUCKET: b}}]", ["aws:static:AWS_ACCESS_KEY_ID,AWS_SECRET_ACCESS_KEY"]),
        ("oidc: true\n      script: [{pipe: 'atlassian/aws-s3-deploy:1.1.0', variables: {S3_BUCKET: b}}]", ["aws:oidc:"]),
        ("script: [{pipe: 'atlassian/google-cloud-run-deploy:1.0.0', variables: {KEY_FILE: $GCLOUD_API_KEYFILE}}]", ["gcp:static:GCLOUD_API_KEYFILE"]),
        ("image: {name: x:1, username: $U, password: $P_TOKEN}\n      script: [x]", ["registry:static:P_TOKEN"]),
        ("script: ['echo $AWS_REGION', aws s3 ls]", []),
    ],
)  # fmt: skip
def test_bitbucket_logins(step: str, expected: list[str]) -> None:
    assert (
        logins(read("bitbucket-pipelines.yml", f"pipelines:\n  default:\n  - step:\n      {step}\n"))
        == expected
    )


def test_bitbucket_names_of_pipes_and_imports() -> None:
    found = read(
        "bitbucket-pipelines.yml",
        "pipelines:\n  branches:\n    main:\n      import: shared:main:build\n  default:\n  - step:\n      script:\n"
        "      - pipe: docker://acme/notify:latest\n        variables: {WEBHOOK_URL: $SLACK_WEBHOOK}\n",
    )
    assert [(use.kind, use.name, use.pin) for use in found.uses] == [
        ("include", "shared", "branch"),
        ("pipe", "docker://acme/notify", "branch"),
    ]
    assert [ref.name for ref in found.secrets] == ["SLACK_WEBHOOK"]


def test_cloud_build_scripts_keep_their_lines_and_their_secrets() -> None:
    found = read(
        "cloudbuild.yaml",
        "substitutions: {_SA: x@p.iam.gserviceaccount.com}\nsteps:\n- name: bash\n  entrypoint: bash\n  secretEnv: [PW]\n  args:\n  - -c\n  - |\n"
        "    true\n    curl -s https://x | sh\n    docker login -u b -p $$PW\n- name: gcr.io/cloud-builders/kubectl\n"
        "  env: [CLOUDSDK_CONTAINER_CLUSTER=c1]\n  args: [set, image, deployment/w, w=x]\n"
        "availableSecrets: {secretManager: [{versionName: projects/p/secrets/pw/versions/1, env: PW}]}\n"
        "serviceAccount: projects/p/serviceAccounts/${_SA}\n",
    )
    assert [
        (problem.code, problem.line) for problem in found.problems if problem.code == "unverified-script"
    ] == [("unverified-script", 10)]
    assert logins(found) == ["registry:static:pw"]
    assert [deploy.target for deploy in found.deploys] == ["kubernetes:workload:c1/default/w"]
    assert found.service_accounts == ["projects/p/serviceAccounts/x@p.iam.gserviceaccount.com"]


def test_buildspec_secrets_batches_and_roles() -> None:
    found = read(
        "buildspec.yml",
        "version: 0.2\nenv:\n  secrets-manager:\n    A: 'arn:aws:secretsmanager:eu-west-1:200000000002:secret:a-AbCdEf:key'\n"
        "    REG_TOKEN: reg:key\n  exported-variables: [REG_TOKEN]\nbatch:\n  build-list:\n  - identifier: b\n"
        f"    env: {{image: 'acme/b:1', variables: {{DB_PASSWORD: {PASSWORD}}}}}\nphases:\n  pre_build:\n    commands:\n"
        "    - docker login -u b -p $REG_TOKEN\n    - C=$(aws sts assume-role --role-arn " + ROLE + ")\n"
        "    - export AWS_SECRET_ACCESS_KEY=$(echo $C | jq -r .k)\n    - aws eks update-kubeconfig --name c1\n"
        "  build:\n    commands:\n    - kubectl set image deployment/w w=x\n    - aws s3 ls $AWS_SECRET_ACCESS_KEY\n",
    )  # fmt: skip
    assert [name for name, _ in stored(found)] == [
        "arn:aws:secretsmanager:eu-west-1:200000000002:secret:a-AbCdEf",
        "reg",
    ]
    assert logins(found) == ["registry:static:reg"]
    assert [hard.line for hard in found.hard_coded] == [10]
    assert [
        (problem.code, problem.line) for problem in found.problems if problem.code == "secrets-in-output"
    ] == [("secrets-in-output", 6)]
    assert [deploy.target for deploy in found.deploys] == ["kubernetes:workload:c1/default/w"]
    assumed = f"assumes the role {ROLE} with the job's own identity"
    assert Unresolved(line=15, what=assumed) in found.unresolved
