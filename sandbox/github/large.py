"""An organization of any size for load tests: repositories are created on demand and not kept.

Of every ten repositories six have workflows, two have environments (two each), one to two have deploy keys, one
logs in to the cloud by OIDC, and one is archived: the mix of a large organization.
"""

from __future__ import annotations

from sandbox.estate import GITHUB_ORG, GITHUB_ORG_ID, PROD
from sandbox.github.access import READ_ONLY_APP
from sandbox.github.dates import ago
from sandbox.github.organization import (
    Actions,
    AuditEvent,
    DeployKey,
    Environment,
    GitHubDeployment,
    GitHubRepository,
    GitHubSecret,
    Hook,
    Installation,
    Organization,
    Protection,
    Repositories,
    Reviewer,
    Runner,
    RunnerGroup,
    Team,
    User,
    Variable,
)
from sandbox.github.repositories import commit
from sandbox.kit.issued import secret_value

FIRST_ID = 100_000
CHANGED_EACH_NIGHT = 50
"""One repository of fifty changes between the nights."""
_CHECKOUT = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683"
_LOGIN = "aws-actions/configure-aws-credentials@e3dd6a429d7300a6a4c196c26e071d42e0343502"


def _test_workflow(kind: int) -> str:
    """Return one of forty test workflows that many repositories share."""
    return f"""name: Test
on: [push, pull_request]
permissions:
  contents: read
jobs:
  test:
    runs-on: ubuntu-24.04
    steps:
      - uses: {_CHECKOUT}
      - run: make test-{kind}
"""


def _deploy_workflow(name: str, *, login: bool, revision: int) -> str:
    head = f"""name: Deploy
on:
  push:
    branches: [main]
permissions:
  contents: read
{"  id-token: write" if login else ""}
jobs:
  deploy:
    runs-on: ubuntu-24.04
    environment: production
    steps:
      - uses: {_CHECKOUT}
"""
    if login:
        head += f"""      - uses: {_LOGIN}
        with:
          role-to-assume: arn:aws:iam::{PROD}:role/deploy-{name}
          aws-region: eu-west-1
"""
    return (
        head
        + f"""      - run: ./deploy.sh {revision}
        env:
          DEPLOY_TOKEN: ${{{{ secrets.DEPLOY_TOKEN }}}}
"""
    )


def _changed(index: int, night: int) -> bool:
    return night > 1 and index % CHANGED_EACH_NIGHT == 7


def _repository(index: int, night: int) -> GitHubRepository:
    number = FIRST_ID + index
    name = f"service-{index:05}"
    changed = _changed(index, night)
    archived = index % 10 == 9
    login = index % 10 == 0
    files = {"README.md": f"# {name}\n"}
    if index % 10 < 6:
        files[".github/workflows/test.yml"] = _test_workflow(index % 40)
    if login or index % 10 == 1:
        files[".github/workflows/deploy.yml"] = _deploy_workflow(name, login=login, revision=int(changed))
    environments: tuple[Environment, ...] = ()
    if index % 5 == 0:
        environments = tuple(
            Environment(
                id=number * 10 + place,
                name=word,
                created_at=ago(300),
                updated_at=ago(100),
                reviewers=(Reviewer(type="Team", name="team-00"),) if index % 4 else (),
                branches="protected" if index % 3 else "any",
                secrets=(GitHubSecret(name="API_KEY", created_at=ago(200), updated_at=ago(150)),),
            )
            for place, word in enumerate(("production", "staging"))
        )
    keys = []
    if index % 20 < 3:
        keys.append(
            DeployKey(
                id=number * 10,
                title="deploy",
                read_only=index % 2 == 0,
                added_by="user-001",
                created_at=ago(500 + index % 700),
                last_used=ago(index % 300) if index % 3 else None,
            )
        )
    if changed and index % 4 == 1:
        keys.append(
            DeployKey(
                id=number * 10 + 1,
                title="new",
                read_only=False,
                added_by="user-002",
                created_at=ago(-0.5),
            )
        )
    return GitHubRepository(
        id=number,
        name=name,
        created_at=ago(2000 - index % 1500),
        pushed_at=ago(-0.5) if changed else ago(10 + index % 700),
        visibility="public" if index % 50 == 3 else "private",
        archived=archived,
        files=files,
        secrets=(GitHubSecret(name="DEPLOY_TOKEN", created_at=ago(700), updated_at=ago(index % 600)),)
        if index % 10 < 2
        else (),
        variables=(
            Variable(name="STAGE", value="prod", created_at=ago(90), updated_at=ago(90)),
            *(
                (
                    Variable(
                        name="API_PASSWORD",
                        value=secret_value(f"github/large/{index}", 24),
                        created_at=ago(90),
                        updated_at=ago(90),
                    ),
                )
                if index % 100 == 11
                else ()
            ),
        )
        if index % 10 < 2
        else (),
        environments=environments,
        deploy_keys=tuple(keys),
        hooks=(
            Hook(
                id=number * 10,
                url=f"https://ci.example/{name}",
                created_at=ago(400),
                updated_at=ago(400),
                secret=index % 7 != 0,
            ),
        )
        if index % 6 == 0
        else (),
        actions=Actions(allowed="all", token="write" if index % 13 == 0 else "read"),
        protections=(Protection(id=number * 10),) if index % 3 else (),
        deployments=(
            GitHubDeployment(
                id=number * 10,
                environment="production",
                sha=commit(name),
                ref="main",
                creator="github-actions[bot]",
                created_at=ago(index % 90),
            ),
        )
        if environments
        else (),
        collaborators={"outside-01": "write"} if index % 40 == 2 else {},
    )


def _position(name: str, count: int) -> int | None:
    word, _, number = name.partition("-")
    if word != "service" or not number.isdigit() or int(number) >= count or f"{int(number):05}" != number:
        return None
    return int(number)


def build_large(repos: int = 10_000, night: int = 1, members: int = 300) -> Organization:
    """Return an organization of ``repos`` repositories, named ``service-00000`` and so on.

    On the second night one repository of fifty was pushed to, and some of them have a new deploy key; the audit
    log says which.
    """
    users = tuple(
        User(
            id=500_000 + number,
            login=f"user-{number:03}",
            role="admin" if number < 3 else "member",
            created_at=ago(1000 + number),
        )
        for number in range(members)
    ) + tuple(
        User(id=600_000 + number, login=f"outside-{number:02}", role="outside", created_at=ago(300))
        for number in range(20)
    )
    events = tuple(
        AuditEvent(
            id=f"public_key.create@{index}",
            action="public_key.create" if index % 4 == 1 else "repo.update_actions_settings",
            actor="user-002",
            at=ago(-0.5),
            repository=f"service-{index:05}",
        )
        for index in range(repos)
        if _changed(index, night)
    )
    return Organization(
        id=GITHUB_ORG_ID,
        login=GITHUB_ORG,
        name="Lantern Pay at scale",
        created_at=ago(3000),
        updated_at=ago(10),
        repositories=Repositories(
            repos, lambda index: _repository(index, night), lambda name: _position(name, repos)
        ),
        users=users,
        teams=tuple(
            Team(
                id=700_000 + number,
                slug=f"team-{number:02}",
                members=tuple(f"user-{member:03}" for member in range(number, members, 40)),
                repositories={f"service-{index:05}": "write" for index in range(number, repos, 400)},
            )
            for number in range(40)
        ),
        secrets=(GitHubSecret(name="REGISTRY_TOKEN", created_at=ago(800), updated_at=ago(400)),),
        runner_groups=(
            RunnerGroup(
                id=1,
                name="Default",
                default=True,
                runners=tuple(Runner(id=900 + number, name=f"runner-{number}") for number in range(120)),
            ),
        ),
        installations=(
            Installation(
                id=60001,
                app_id=90001,
                slug="sprawlscan-inventory",
                client_id="Iv23liSprawlscan00",
                permissions=dict(READ_ONLY_APP),
                created_at=ago(30),
                updated_at=ago(30),
            ),
        ),
        audit_log=events,
    )
