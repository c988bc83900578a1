"""A GitLab of any size for load tests: projects are created on demand and not kept.

Of every ten projects six have a pipeline, two environments, two to three variables or members of their own, one to two
deploy keys, tokens or webhooks, and one is archived: the mix of a large group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any, NoReturn, TypeVar

from sandbox.estate import GITLAB_GROUP, GITLAB_GROUP_ID, PROD
from sandbox.gitlab import entities as give
from sandbox.gitlab.instance import DEVELOPER, MAINTAINER, OWNER, Instance, MadeRows
from sandbox.kit.http import Json  # noqa: TC001  msgspec reads the annotations at run time
from sandbox.kit.issued import secret_value

K = TypeVar("K")
V = TypeVar("V")

FIRST_ID = 100_000
SUBGROUPS = 20
FIRST_SUBGROUP = 8100
CHANGED_EACH_NIGHT = 50
"""One project of fifty changes between the nights."""


class Made(MutableMapping[K, V]):
    """Values that are created on demand; only those of ``keys`` are counted."""

    def __init__(self, make: Callable[[K], V | None], keys: Sequence[K] = ()) -> None:
        self._make = make
        self._keys = keys

    def __getitem__(self, key: K) -> V:
        value = self._make(key)
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[K]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __setitem__(self, key: K, value: V) -> NoReturn:
        raise TypeError

    def __delitem__(self, key: K) -> NoReturn:
        raise TypeError


class LargeInstance(Instance, kw_only=True):
    """An instance with one group of many projects."""

    count: int
    night: int

    def projects_of(self, group: Json, *, subgroups: bool) -> Sequence[Json]:
        """Return the projects of the group, page by page; projects of a single subgroup are never requested."""
        assert subgroups
        assert group["id"] == GITLAB_GROUP_ID
        return MadeRows(self.count, lambda index: _project(index, self.groups, self.night))

    def deploy_keys(self) -> list[Json]:
        """Return every deploy key with its projects."""
        found = []
        for index in range(self.count):
            for key in _deploy_keys(index, self.night):
                own = {name: value for name, value in key.items() if name != "can_push"}
                here = [{"id": FIRST_ID + index, "path_with_namespace": _path(index, self.groups)}]
                writes, reads = (here, []) if key["can_push"] else ([], here)
                found.append(
                    {**own, "projects_with_write_access": writes, "projects_with_readonly_access": reads}
                )
        return found


def build_large(projects: int = 10_000, night: int = 1, people: int = 300) -> LargeInstance:
    """Return an instance with a group of ``projects`` projects, named ``service-00000`` and so on.

    On the second night one project of fifty was pushed to, and some of them have a new deploy key.
    """
    top = give.group(GITLAB_GROUP_ID, GITLAB_GROUP, "Lantern Pay at scale")
    groups = {GITLAB_GROUP_ID: top}
    for number in range(SUBGROUPS):
        groups[FIRST_SUBGROUP + number] = give.group(
            FIRST_SUBGROUP + number, f"team-{number:02}", f"Team {number}", parent=top
        )
    users = {
        1: give.user(1, "root", "Administrator", is_admin=True),
        101: give.user(101, "maya.ops", "Maya Ops"),
        **{1000 + n: give.user(1000 + n, f"user-{n:03}", f"User {n}") for n in range(people)},
    }
    fixed: dict[str, list[Json]] = {
        f"/groups/{GITLAB_GROUP_ID}/members": [
            give.member(users[101], OWNER),
            *(give.member(users[1000 + n], DEVELOPER) for n in range(people)),
        ],
        f"/groups/{GITLAB_GROUP_ID}/variables": [give.variable("REGISTRY", "https://registry.example/")],
    }

    def rows(path: str) -> list[Json] | None:
        if path in fixed:
            return fixed[path]
        found = _numbered(path, projects)
        return None if found is None else _rows(found[0], found[1], groups, users, night)

    def one(path: str) -> Json | None:
        found = _numbered(path, projects)
        return None if found is None else _object(found[0], found[1], users)

    def text(key: str) -> str | None:
        found = _numbered(f"/projects/{key}", projects)
        return _definition(found[0], night) if found and found[1] == ".gitlab-ci.yml" else None

    def project(number: int) -> Json | None:
        index = number - FIRST_ID
        return _project(index, groups, night) if 0 <= index < projects else None

    return LargeInstance(
        count=projects,
        night=night,
        users=users,
        groups=groups,
        projects=Made(project, range(FIRST_ID, FIRST_ID + projects)),
        lists=Made(rows),
        objects=Made(one),
        files=Made(text),
        triggers=Made(lambda number: _triggers(number - FIRST_ID, users)),
        runners=[
            give.runner(400 + n, f"runner-{n}", "GROUP_TYPE", runUntagged=n % 2 == 0) for n in range(120)
        ],
    )


def _numbered(path: str, count: int) -> tuple[int, str] | None:
    """Return the index of the project in a path, and what follows."""
    parts = path.split("/", 3)
    if len(parts) < 4 or parts[1] != "projects" or not parts[2].isdigit():
        return None
    index = int(parts[2]) - FIRST_ID
    return (index, parts[3]) if 0 <= index < count else None


def _changed(index: int, night: int) -> bool:
    return night > 1 and index % CHANGED_EACH_NIGHT == 7


def _path(index: int, groups: dict[int, Json]) -> str:
    return f"{groups[FIRST_SUBGROUP + index % SUBGROUPS]['full_path']}/service-{index:05}"


def _project(index: int, groups: dict[int, Json], night: int) -> Json:
    return give.project(
        FIRST_ID + index,
        f"service-{index:05}",
        groups[FIRST_SUBGROUP + index % SUBGROUPS],
        created=2000 - index % 1500,
        archived=index % 10 == 9,
        visibility="internal" if index % 50 == 3 else "private",
        last_activity_at=give.ago(-0.5) if _changed(index, night) else give.ago(10 + index % 700),
    )


def _definition(index: int, night: int) -> str | None:
    """Return one of forty test pipelines that many projects share, or a pipeline that deploys."""
    if index % 10 >= 6:
        return None
    if index % 5:
        return f"test:\n  script: [make test-{index % 40}]\n"
    role = f"arn:aws:iam::{PROD}:role/deploy-{index:05}"
    return f"""deploy:
  environment: {{name: production}}
  id_tokens: {{AWS: {{aud: https://gitlab.com}}}}
  script:
    - aws sts assume-role-with-web-identity --role-arn {role} --web-identity-token "$AWS"
    - make deploy-{int(_changed(index, night))}
"""


def _deploy_keys(index: int, night: int) -> list[Json]:
    number = FIRST_ID + index
    keys = []
    if index % 20 < 3:
        keys.append(give.deploy_key(number * 10, "mirror", can_push=index % 2 == 1, created=500))
    if _changed(index, night) and index % 4 == 1:
        keys.append(give.deploy_key(number * 10 + 1, "new", can_push=True, created=0))
    return keys


def _triggers(index: int, users: dict[int, Json]) -> list[Json]:
    if index % 25:
        return []
    number = FIRST_ID + index
    secret = secret_value(f"gitlab/large/trigger/{index}", 32, "glptt-")
    return [give.trigger(number, "nightly", users[1000], secret, created=300, used=1, ends=None)]


def _bot(index: int) -> Json:
    return give.user(
        1_000_000 + index, f"project_{FIRST_ID + index}_bot_1f0c", "release", bot=True, last_sign_in_at=None
    )


def _rows(
    index: int, name: str, groups: dict[int, Json], users: dict[int, Json], night: int
) -> list[Json] | None:
    """Return a project's list of this name."""
    number = FIRST_ID + index
    people = len(users) - 2
    match name:
        case "members":
            found = [give.member(users[1000 + index % people], MAINTAINER)] if index % 10 == 3 else []
            return [*found, give.member(_bot(index), MAINTAINER)] if index % 10 == 4 else found
        case "access_tokens" if index % 10 == 4:
            token = give.access_token(
                number, "release", 1_000_000 + index, "api", created=90, used=1, ends=200
            )
            return [give.bound_token(token, MAINTAINER, "project", number)]
        case "variables" if index % 10 < 2:
            secret = secret_value(f"gitlab/large/{index}", 24)
            return [
                give.variable("STAGE", "prod"),
                give.variable("API_PASSWORD", secret, masked=index % 20 == 0, protected=index % 3 == 0),
            ]
        case "deploy_tokens" if index % 12 == 0:
            return [give.deploy_token(number, "pull", "read_registry")]
        case "deploy_keys":
            return _deploy_keys(index, night)
        case "hooks" if index % 6 == 0:
            return [give.hook(number, f"https://ci.example/{index}", ("project", number))]
        case "integrations" if index % 12 == 5:
            return [give.integration(number, "slack", "Slack")]
        case "protected_branches" if index % 3:
            return [give.protected_branch(number, "main", push=MAINTAINER)]
        case "approval_rules" if index % 2:
            return [give.approval_rule(number, "All", 1, rule_type="any_approver")]
        case "environments" if index % 5 == 0:
            return [give.environment(number * 2, "production", tier="production")]
        case "protected_environments" if index % 10 == 0:
            return [give.protected_environment("production", [give.access(MAINTAINER)], [])]
        case "deployments" if index % 5 == 0:
            place = give.environment(number * 2, "production", tier="production")
            return [give.deployment(number, f"{index:040x}", place, users[1000], created=index % 90)]
        case "pipeline_schedules" if index % 20 == 6:
            return [give.schedule(number, "nightly", users[1000])]
        case "cluster_agents" if index % 50 == 2:
            return [give.agent(number, "cluster", _project(index, groups, night), created=300)]
        case _ if name.startswith("cluster_agents/"):
            return [{key: value for key, value in _agent_token(number).items() if key != "last_used_at"}]
        case "job_token_scope/allowlist":
            return [_project(index, groups, night)]
        case _:
            return []


def _agent_token(number: int) -> Json:
    return give.agent_token(number, "agent", number, created=300, used=1)


def _object(index: int, name: str, users: dict[int, Json]) -> Json | None:
    number = FIRST_ID + index
    if name == "job_token_scope":
        return {"inbound_enabled": index % 7 != 0, "outbound_enabled": False}
    if name.startswith("pipeline_schedules/"):
        value: dict[str, Any] = {"key": "DEPTH", "variable_type": "env_var", "value": "high", "raw": False}
        return {
            **give.schedule(number, "nightly", users[1000]),
            "last_pipeline": None,
            "variables": [value],
        }
    return _agent_token(number) if name.startswith("cluster_agents/") else None
