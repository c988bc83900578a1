"""Every answer of the simulated GitLab has the shape that GitLab publishes, as ``data/gitlab-openapi.yaml`` states it."""

from __future__ import annotations

import copy
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
import requests
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from sandbox.gitlab import GitLabSandbox, build
from sandbox.gitlab import entities as give
from sandbox.gitlab.routes import ROUTES, GitLabRoute, route_of
from sandbox.gitlab.views import basic_group
from scanner.yaml_data import read_yaml
from tests.gitlab_night import collected, config
from tests.nights import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.gitlab.instance import Instance
    from sandbox.kit.http import Json

DESCRIPTION: dict[str, Any] = read_yaml(Path(__file__).parent / "data/gitlab-openapi.yaml")
OPERATIONS: dict[str, Any] = DESCRIPTION["operations"]
SCHEMAS: dict[str, Any] = DESCRIPTION["components"]["schemas"]
PAGES = {"page", "per_page", "cursor"}
"""https://docs.gitlab.com/api/rest/#pagination"""


def day(text: object) -> bool:
    return not isinstance(text, str) or (len(text) == 10 and date.fromisoformat(text) is not None)


def moment(text: object) -> bool:
    """GitLab writes times with milliseconds: ``2026-11-21T02:00:00.000Z``."""
    return not isinstance(text, str) or datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z") is not None


def address(text: object) -> bool:
    return not isinstance(text, str) or bool(urlsplit(text).scheme and urlsplit(text).netloc)


FORMATS = FormatChecker(formats=())
FORMATS.checks("date", ValueError)(day)
FORMATS.checks("date-time", ValueError)(moment)
FORMATS.checks("uri", ValueError)(address)


def validator(schema: Any) -> Any:
    return Draft202012Validator({"components": DESCRIPTION["components"], **schema}, format_checker=FORMATS)


VALIDATORS = {name: validator(operation["200"]) for name, operation in OPERATIONS.items()}
ERROR = validator({"$ref": "#/components/schemas/Error"})


def faults(found: Any, body: Any) -> list[str]:
    """Return what is wrong with an answer: where, and why."""
    return [f"{error.json_path}: {error.message[:200]}" for error in found.iter_errors(body)]


def crowded() -> Instance:
    """Return the company's instance with a row in every list that it leaves empty, and with rarer kinds of rows."""
    instance = build()
    lists, people, group = instance.lists, instance.users, instance.groups[8002]
    role = {
        "id": 9,
        "group_id": 8001,
        "name": "Release manager",
        "description": None,
        "base_access_level": 30,
    }
    lists["/groups/8001/members"].append(
        {**give.member(people[102], 30), "member_role": {**role, "admin_cicd_variables": True}}
    )
    lists["/groups/8001/ssh_certificates"] = [give.ssh_certificate(1, "offices", created=300)]
    lists["/groups/8001/protected_environments"] = [
        give.protected_environment(
            "production", [give.access(None, member_role_id=9, member_role_name="Release manager")], []
        )
    ]
    instance.groups[8001]["shared_with_groups"] = [give.share(8900, "Contractors", "contractors", 30, ends=9)]
    instance.projects[9001]["shared_with_groups"] = [give.share(8900, "Contractors", "contractors", 30)]
    lists["/service_accounts"] = [give.service_account(202, "service_account_1", "Instance's own")]
    lists["/projects/9001/job_token_scope/groups_allowlist"] = [basic_group(group)]
    branch = lists["/projects/9001/protected_branches"][0]
    lists["/projects/9001/approval_rules"].append(
        give.approval_rule(2, "Security", 1, branch, users=[give.person(people[101])])
    )
    lists["/personal_access_tokens"].append(
        give.granular(
            give.access_token(713, "ci only", 102, created=3, used=None, ends=20), "read_job", project_id=9001
        )
    )
    inputs = [{"name": "depth", "value": 3}, {"name": "target", "value": "all"}]
    instance.objects["/projects/9002/pipeline_schedules/562"]["inputs"] = inputs
    return instance


ESTATES = {"first night": build, "second night": lambda: build(2), "crowded": crowded}


def paths(route: GitLabRoute, instance: Instance) -> list[str]:
    """Return every path of a route that the instance has something to say to."""
    template = route.template
    if "/files/" in template:
        parts = [name.split("/", 1) for name in instance.files]
        return [f"/projects/{number}/repository/files/{quote(path, safe='')}/raw" for number, path in parts]
    if ":" not in template:
        return [template]
    if template.count(":") == 1:
        held: dict[str, list[Any]] = {
            "groups": list(instance.groups),
            "projects": list(instance.projects),
            "users": list(instance.users),
            "runners": [one["id"].rpartition("/")[2] for one in instance.runners],
        }
        return [template.replace(":id", str(number)) for number in held[template.split("/")[1]]]
    if template.endswith("/members/all/:user_id"):
        return [f"/groups/8001/members/all/{number}" for number in instance.users if number != 1]
    return [
        path
        for path in (*instance.lists, *instance.objects)
        if (found := route_of(path)) is not None and found[0] is route
    ]


def fetched(sandbox: GitLabSandbox, path: str, token: str) -> Iterator[requests.Response]:
    """Yield the pages of an answer."""
    url: str | None = f"{sandbox.url}/api/v4{path}"
    while url is not None:
        page = requests.get(url, headers={"PRIVATE-TOKEN": token}, params={"per_page": 2}, timeout=10)
        yield page
        url = page.links.get("next", {}).get("url")


def test_every_route_is_described_and_every_description_is_of_a_route() -> None:
    assert {f"GET {route.template}" for route in ROUTES} == set(OPERATIONS)
    assert all(name in repr(DESCRIPTION) for name in SCHEMAS)
    assert all("x-follows" in one for one in (*SCHEMAS.values(), *OPERATIONS.values()))


@pytest.mark.parametrize("which", ["token", "owner_token", "member_token"])
@pytest.mark.parametrize("estate", ESTATES)
def test_every_answer_is_as_gitlab_publishes_it(estate: str, which: str) -> None:
    wrong: list[str] = []
    rows = dict.fromkeys(OPERATIONS, 0)
    statuses: dict[int, set[str]] = {}
    with GitLabSandbox(instance=ESTATES[estate]()) as sandbox:
        token = getattr(sandbox, which)
        for route in ROUTES:
            name = f"GET {route.template}"
            for path in paths(route, sandbox.instance):
                for page in fetched(sandbox, path, token):
                    statuses.setdefault(page.status_code, set()).add(name)
                    if page.status_code != 200:
                        wrong += [f"{path}: {why}" for why in faults(ERROR, page.json())]
                        continue
                    body = page.text if "/files/" in path else page.json()
                    wrong += [f"{path}: {why}" for why in faults(VALIDATORS[name], body)]
                    rows[name] += len(body) if isinstance(body, list) else 1
    assert wrong == []
    if which == "token":
        assert statuses == {200: set(OPERATIONS)}
    else:
        assert set(statuses) == {200, 403}
    if (estate, which) == ("crowded", "token"):
        assert [name for name, number in rows.items() if number == 0] == []


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/projects/9002/variables", "glpat-unknown", 401),
        ("/groups/8001/hooks", "reader", 403),
        ("/projects/1", "root", 404),
        ("/projects/9002/repository/files/nothing/raw", "root", 404),
        ("/no/such/route", "root", 404),
        ("/projects/9002/hooks", "root", 500),
    ],
)
def test_refusals_are_as_gitlab_publishes_them(path: str, token: str, status: int) -> None:
    with GitLabSandbox() as sandbox:
        sandbox.fail("/projects/9002/hooks", 500)
        known = {"root": sandbox.token, "reader": sandbox.member_token}
        (answer,) = fetched(sandbox, path, known.get(token, token))
        assert answer.status_code == status
        assert faults(ERROR, answer.json()) == []
        refused = requests.post(
            f"{sandbox.url}/api/graphql", json={"query": '{ project(fullPath: "x") { id } }'}, timeout=10
        )
    # https://docs.gitlab.com/api/graphql/ : refusals there are errors of GraphQL.
    assert (refused.status_code, refused.json()) == (401, {"errors": [{"message": "Invalid token"}]})


@pytest.fixture(scope="module")
def samples() -> dict[str, Json]:
    """One row of every answer that has rows, with most to it."""
    found: dict[str, Json] = {}
    with GitLabSandbox(instance=crowded()) as sandbox:
        for route in ROUTES:
            if "/files/" in route.template:
                continue
            for path in paths(route, sandbox.instance):
                body = next(fetched(sandbox, path, sandbox.token)).json()
                for row in body if isinstance(body, list) else [body]:
                    name = f"GET {route.template}"
                    found[name] = max(found.get(name, {}), row, key=lambda one: len(repr(one)))
    return found


def objects(value: Any, where: str = "") -> Iterator[tuple[str, Json]]:
    """Yield every object in an answer, with where it is."""
    if isinstance(value, dict):
        yield where, value
        for key, inner in value.items():
            yield from objects(inner, f"{where}.{key}")
    if isinstance(value, list):
        for inner in value:
            yield from objects(inner, f"{where}[]")


OPEN = {".default_branch_protection_defaults", ".groups[].default_branch_protection_defaults"}
"""Objects that the description does not define."""


@pytest.mark.parametrize("name", [name for name in OPERATIONS if "/files/" not in name])
def test_the_description_lets_in_nothing_else(samples: dict[str, Json], name: str) -> None:
    row = samples[name]
    schema = VALIDATORS[name].schema
    one = validator(schema.get("items", {key: schema[key] for key in schema if key != "components"}))
    assert faults(one, row) == []
    for where, _ in objects(row):
        changed = copy.deepcopy(row)
        next(inner for place, inner in objects(changed) if place == where)["of_tomorrow"] = "x"
        # An entity's links and a role's permissions may be more, but are addresses and booleans.
        assert where in OPEN or faults(one, changed) != [], where
    for key, value in row.items():
        assert faults(one, {**row, key: [value]}) != [], key
        if isinstance(value, str) and value.startswith("20"):
            assert (
                faults(one, {**row, key: value[:10] if "T" in value else f"{value}T00:00:00.000Z"}) != []
            ), key
    first = next(iter(row))
    assert faults(one, {key: value for key, value in row.items() if key != first}) != []


def test_the_collector_asks_for_nothing_that_gitlab_does_not_have(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: set[str] = set()
    parameters: dict[str, set[str]] = {}
    for without in (frozenset[str](), frozenset({"lastUsed", "runUntagged"})):
        with GitLabSandbox(instance=crowded(), without=without) as sandbox:
            for token, groups in (
                (sandbox.token, ["lantern"]),
                (sandbox.token, []),
                (sandbox.member_token, []),
            ):
                collected(config(sandbox, monkeypatch, token=token, groups=groups), run(tmp_path))
            asked |= {call for call in sandbox.calls if call.startswith("GET ")}
            for line in (call.line for call in sandbox.log):
                method, _, target = line.partition(" ")
                parts = urlsplit(target)
                found = route_of(parts.path.removeprefix("/api/v4"))
                if method == "GET" and found is not None:
                    names = {name for name, _ in parse_qsl(parts.query)} - PAGES
                    parameters.setdefault(f"GET {found[0].template}", set()).update(names)
    assert asked - set(OPERATIONS) == set()
    assert {name: sent for name, sent in parameters.items() if sent} == {
        name: set(operation["x-parameters"])
        for name, operation in OPERATIONS.items()
        if "x-parameters" in operation
    }
