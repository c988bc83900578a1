"""CircleCI, Buildkite, Drone, Woodpecker, Travis, Tekton and Argo Workflows: pipelines, secrets, logins, images, runners."""

from __future__ import annotations

import contextlib

import pytest

from collectors.definitions import Definition, DefinitionError, format_by_content, format_of, parse
from scanner.secrets.detectors import Fingerprint

FP = Fingerprint(b"test-key")
ROLE = "arn:aws:iam::111122223333:role/prod"


def logins(found: Definition) -> set[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    return {(one.service, one.how, tuple(one.targets), tuple(one.secrets)) for one in found.logins}


def secrets(found: Definition) -> set[tuple[str, str | None]]:
    return {(one.name, one.store) for one in found.secrets}


def codes(found: Definition) -> set[tuple[str, int]]:
    return {(problem.code, problem.line) for problem in found.problems}


CIRCLECI = """\
version: 2.1
orbs:
  aws-cli: circleci/aws-cli@4.1.3
  slack: circleci/slack@volatile
executors:
  own:
    docker:
      - image: cimg/python:3.12
        auth: {username: u, password: $DOCKERHUB_PASSWORD}
    resource_class: acme/big
commands:
  deploy:
    parameters: {role: {type: string}, env: {type: string, default: dev}}
    steps:
      - aws-cli/setup: {role_arn: << parameters.role >>}
      - run:
          name: d
          command: |
            aws ecs update-service --cluster core --service web-<< parameters.env >>
            echo << pipeline.git.branch >>
jobs:
  ship:
    parameters: {role: {type: string, default: "arn:aws:iam::111122223333:role/x"}}
    executor: own
    environment: {DB_PASSWORD: hunter2, LEVEL: info}
    steps:
      - checkout
      - deploy: {role: << parameters.role >>, env: prod}
      - when:
          condition: true
          steps: [run: terraform apply]
  keys:
    machine: {image: ubuntu-2204:current}
    steps:
      - run: {command: aws s3 ls, environment: {AWS_SECRET_ACCESS_KEY: $PROD_SECRET}}
      - run: AWS_SECRET_ACCESS_KEY=$PROD_KEY aws s3 ls
workflows:
  main:
    jobs:
      - hold: {type: approval}
      - ship: {context: [prod, shared], requires: [hold], role: "arn:aws:iam::111122223333:role/prod"}
      - keys
"""
BUILDKITE = """\
secrets: [DEPLOY_TOKEN]
steps:
  - label: ":hammer:"
    key: build
    command: "make && echo $BUILDKITE_MESSAGE"
    agents: {queue: own}
    plugins:
      - docker#v5.9.0: {image: node:22}
      - aws-assume-role-with-web-identity#v1.0.0: {role-arn: "arn:aws:iam::111122223333:role/prod"}
      - acme/x: ~
  - wait
  - group: g
    steps:
      - command: ["buildkite-agent pipeline upload", "aws s3 ls"]
        secrets: {AWS_SECRET_ACCESS_KEY: prod-key}
  - trigger: other
"""
DRONE = """\
kind: pipeline
type: docker
name: default
trigger: {event: [push, pull_request]}
steps:
  - name: build
    image: golang:1.24
    environment: {AWS_SECRET_ACCESS_KEY: {from_secret: aws_key}, API_PASSWORD: hunter2}
    commands: [make, aws s3 ls]
  - name: publish
    image: plugins/ecr
    settings: {access_key: {from_secret: ak}, secret_key: {from_secret: sk}, repo: x}
---
kind: secret
name: aws_key
get: {path: secret/data/x, name: y}
"""
WOODPECKER = """\
when: [{event: push}]
steps:
  build:
    image: golang
    commands: [make]
  push: {image: woodpeckerci/plugin-docker-buildx, settings: {password: {from_secret: pw}}}
"""
TRAVIS = """\
language: node_js
env:
  global:
    - LEVEL=info API_PASSWORD=hunter2
    - secure: abc
script: [npm test]
deploy:
  provider: s3
  access_key_id: $AWS_ID
  secret_access_key: {secure: xyz}
"""
TEKTON = """\
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata:
  name: push
  annotations: {pipelinesascode.tekton.dev/on-event: "[push, pull_request]"}
spec:
  taskRunTemplate: {serviceAccountName: builder}
  workspaces: [{name: w, secret: {secretName: git-auth}}]
  pipelineSpec:
    tasks:
      - name: clone
        taskRef: {resolver: git, params: [{name: url, value: https://github.com/tektoncd/catalog}, {name: revision, value: main}]}
      - name: build
        taskSpec:
          params: [{name: title}]
          steps:
            - image: alpine:3
              env: [{name: AWS_SECRET_ACCESS_KEY, valueFrom: {secretKeyRef: {name: aws, key: k}}}]
              script: |
                echo $(params.title)
                aws s3 ls
"""
ARGO = """\
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: nightly}
spec:
  workflowSpec:
    entrypoint: a
    templates:
      - name: a
        script: {image: python, source: "print('{{inputs.parameters.x}}')", env: [{name: DB_PASSWORD, value: hunter2}]}
        outputs: {artifacts: [{name: o, s3: {bucket: b, secretKeySecret: {name: s3cred, key: k}}}]}
      - name: b
        steps: [[{name: c, templateRef: {name: shared, template: t}}]]
"""


def test_circleci() -> None:
    found = parse(".circleci/config.yml", CIRCLECI, FP)
    assert [(job.name, job.runner and (job.runner.kind, job.runner.labels)) for job in found.jobs] == [
        ("ship", ("self-hosted", ["acme/big"])),
        ("keys", ("hosted", [])),
    ]
    assert logins(found) == {
        ("registry", "static", (), ("DOCKERHUB_PASSWORD",)),
        ("aws", "oidc", (ROLE,), ()),  # the workflow's parameter, through the job and the command
        ("aws", "static", (), ("PROD_SECRET",)),
    }
    assert {("prod", "circleci-context"), ("shared", "circleci-context"), ("PROD_SECRET", None)} <= secrets(
        found
    )
    assert [deploy.target for deploy in found.deploys] == ["aws:ecs-service-name:core/web-prod"]
    assert [(hard.name, hard.line) for hard in found.hard_coded] == [("DB_PASSWORD", 25)]
    assert {("template-injection", 20), ("unpinned-include", 4)} <= codes(found)
    assert ("unpinned-include", 3) not in codes(found)  # a published version never changes
    assert [use.pin for use in found.uses if use.kind == "component"] == ["sha", "none"]
    assert found.unresolved[0].what == "`aws-cli/setup` of an orb in job `ship`"


def test_circleci_variables_of_the_shell_and_dynamic_configuration() -> None:
    source = (
        "version: 2.1\nsetup: true\njobs: {a: {docker: [{image: x@sha256:%s}], steps: [run: echo $CIRCLE_BRANCH]}}\n"
        % ("a" * 64)
    )
    found = parse(".circleci/config.yml", source, FP)
    assert codes(found) == set()
    assert "computed" in found.unresolved[0].what


def test_buildkite() -> None:
    found = parse(".buildkite/pipeline.yml", BUILDKITE, FP)
    assert [(job.name, job.runner and (job.runner.kind, job.runner.group)) for job in found.jobs] == [
        ("build", ("unknown", "own")),
        ("step 4", ("self-hosted", None)),
    ]
    assert logins(found) == {("aws", "oidc", (ROLE,), ()), ("aws", "static", (), ("prod-key",))}
    assert secrets(found) == {("DEPLOY_TOKEN", "buildkite-secrets"), ("prod-key", "buildkite-secrets")}
    assert codes(found) == {
        ("template-injection", 5), ("unpinned-images", 8), ("unpinned-include", 10), ("static-cloud-login", 14),
    }  # fmt: skip
    assert [one.line for one in found.unresolved] == [14, 16]
    escaped = BUILDKITE.replace("$BUILDKITE_MESSAGE", "$$BUILDKITE_MESSAGE")
    assert ("template-injection", 5) not in codes(parse("buildkite.yml", escaped, FP))


def test_drone() -> None:
    found = parse(".drone.yml", DRONE, FP)
    assert found.triggers == {"push": [], "pull_request": []}
    assert logins(found) == {("aws", "static", (), ("aws_key",)), ("aws", "static", (), ("ak", "sk"))}
    assert secrets(found) == {("aws_key", None), ("ak", None), ("sk", None), ("aws_key", "vault")}
    assert [(hard.name, hard.line) for hard in found.hard_coded] == [("API_PASSWORD", 8)]
    assert {job.runner.kind for job in found.jobs if job.runner} == {"self-hosted"}


def test_woodpecker() -> None:
    found = parse(".woodpecker.yml", WOODPECKER, FP)
    assert [job.name for job in found.jobs] == ["build", "push"]
    assert logins(found) == {("registry", "static", (), ("pw",))}
    assert codes(found) == {("unpinned-images", 4), ("unpinned-images", 6)}


def test_travis() -> None:
    found = parse(".travis.yml", TRAVIS, FP)
    assert logins(found) == {("aws", "static", (), ("AWS_ID",))}
    assert [(hard.name, hard.line) for hard in found.hard_coded] == [
        ("API_PASSWORD", 4)
    ]  # what is encrypted is no leak
    assert parse(".travis.yml", "language: go\ndeploy: {provider: pages}\n", FP).logins == []


def test_tekton() -> None:
    found = parse(".tekton/push.yaml", TEKTON, FP)
    assert found.triggers == {"push": [], "pull_request": []}
    assert logins(found) == {("aws", "static", (), ("aws",))}
    assert secrets(found) == {("aws", "kubernetes"), ("git-auth", "kubernetes")}
    assert {("template-injection", 20), ("unpinned-include", 11)} <= codes(found)
    limited = TEKTON.replace("{name: title}", "{name: title, enum: [a, b]}").replace(
        "value: main", f"value: {'a' * 40}"
    )
    assert not {code for code, _ in codes(parse(".tekton/push.yaml", limited, FP))} & {
        "template-injection",
        "unpinned-include",
    }
    assert len(found.unresolved) == 1


def test_argo_workflows() -> None:
    found = parse("ci/wf.yaml", ARGO, FP)
    assert (found.format, found.name, found.triggers) == ("argo-workflows", "nightly", {"schedule": []})
    assert logins(found) == {("aws", "static", (), ("s3cred",))}
    assert ("template-injection", 9) in codes(found)
    assert [one.what for one in found.unresolved] == ["the template t of shared"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (".circleci/config.yml", "circleci"), ("a/.circleci/continue.yml", "circleci"), ("circleci.yml", None),
        (".buildkite/pipeline.deploy.yml", "buildkite"), (".buildkite/hooks.yml", None), (".drone.yml", "drone"),
        (".woodpecker/test.yaml", "woodpecker"), (".travis.yml", "travis"), ("docs/travis.yml", None), (".tekton/a.yaml", "tekton"),
    ],
)  # fmt: skip
def test_names(path: str, kind: str | None) -> None:
    assert format_of(path) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (TEKTON, "tekton"),
        (ARGO, "argo-workflows"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Application\n", None),
        ("apiVersion: apps/v1\nkind: Deployment\n", None),
    ],
)
def test_objects_of_kubernetes_are_recognized_by_content(text: str, kind: str | None) -> None:
    assert format_by_content(text) == kind


@pytest.mark.parametrize(
    "path",
    [
        ".circleci/config.yml",
        ".drone.yml",
        ".travis.yml",
        ".tekton/a.yaml",
        ".woodpecker.yml",
        "buildkite.yml",
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        "1",
        "",
        "a: [",
        "steps: {a: 1, b: [1, {c: [d]}]}\njobs: [1]\nworkflows: {a: {jobs: [1, {b: 2}]}}\nenv: [1, {a: {b: c}}]\n",
    ],
)
def test_odd_shapes_do_not_stop_the_reader(path: str, text: str) -> None:
    with contextlib.suppress(DefinitionError):
        assert parse(path, text, FP).path == path
