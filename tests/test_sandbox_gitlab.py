"""The simulated GitLab answers as GitLab documents it."""

from __future__ import annotations

import json
import time
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from sandbox.aws.keys import key_id, key_secret
from sandbox.estate import DEV, GITLAB_GROUP, GITLAB_GROUP_ID, PROJECTS
from sandbox.gitlab import GitLabSandbox, build
from sandbox.gitlab.entities import variable
from sandbox.gitlab.routes import ROUTES
from sandbox.gitlab.views import CI_SETTINGS
from sandbox.kit.issued import ISSUED

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def sandbox() -> Iterator[GitLabSandbox]:
    with GitLabSandbox() as served:
        yield served


def get(sandbox: GitLabSandbox, path: str, token: str | None = None, **query: Any) -> requests.Response:
    return requests.get(
        f"{sandbox.url}/api/v4{path}",
        headers={"PRIVATE-TOKEN": token or sandbox.token},
        params=query,
        timeout=10,
        allow_redirects=False,
    )


def ask(sandbox: GitLabSandbox, query: str, token: str | None = None) -> dict[str, Any]:
    answer = requests.post(
        f"{sandbox.url}/api/graphql",
        headers={"Authorization": f"Bearer {token or sandbox.token}"},
        json={"query": query},
        timeout=10,
    )
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.template)
def test_every_route_is_closed_to_outsiders_and_to_lesser_roles(sandbox: GitLabSandbox, route: Any) -> None:
    ids = {
        ":agent_id": "572",
        ":token_id": "582",
        ":schedule_id": "562",
        ":user_id": "201",
        ":file_path": ".gitlab-ci.yml",
    }
    home = "8001" if route.template.startswith("/groups") else "9002"
    home = {"/users": "102", "/runne": "401"}.get(route.template[:6], home)
    path = "/".join(ids.get(part, home if part == ":id" else part) for part in route.template.split("/"))
    assert get(sandbox, path, "glpat-unknown").status_code == 401
    assert get(sandbox, path).status_code == 200
    developer = get(sandbox, path, sandbox.member_token).status_code
    assert developer == (200 if route.role <= 30 else 403)


@pytest.mark.parametrize(
    "path", ["/projects/1", "/groups/1", "/projects/lantern%2Fnothing", "/no/such/route"]
)
def test_what_is_not_there_is_404(sandbox: GitLabSandbox, path: str) -> None:
    assert get(sandbox, path).status_code == 404


def test_a_project_is_found_by_its_quoted_path(sandbox: GitLabSandbox) -> None:
    assert get(sandbox, "/projects/lantern%2Ffraud-model").json()["id"] == 9002
    assert get(sandbox, "/projects/lantern%2Ffraud-model/hooks").json()[0]["id"] == 812


def test_only_its_creator_sees_a_whole_trigger_token(sandbox: GitLabSandbox) -> None:
    others = get(sandbox, "/projects/9001/triggers").json()[0]["token"]
    own = get(sandbox, "/projects/9001/triggers", sandbox.owner_token).json()[0]["token"]
    assert len(others) == 4
    assert own.startswith(others)
    assert own in ISSUED


def test_a_project_shows_its_settings_and_its_runners_token_to_maintainers(sandbox: GitLabSandbox) -> None:
    whole = get(sandbox, "/projects/9002").json()
    shown = get(sandbox, "/projects/9002", sandbox.member_token).json()
    assert set(whole) - set(shown) == {"runners_token", *CI_SETTINGS}
    (listed,) = (row for row in get(sandbox, "/groups/8001/projects").json() if row["id"] == 9002)
    assert listed == whole


def test_only_a_single_group_shows_the_groups_that_are_invited(sandbox: GitLabSandbox) -> None:
    assert "shared_with_groups" in get(sandbox, "/groups/8002").json()
    assert "shared_with_groups" not in get(sandbox, "/groups/8001/descendant_groups").json()[0]
    assert "runners_token" in get(sandbox, "/groups/8001").json()
    assert "runners_token" not in get(sandbox, "/groups/8001", sandbox.member_token).json()


def test_users_are_shown_in_full_to_administrators_only(sandbox: GitLabSandbox) -> None:
    basic = {"id", "username", "public_email", "name", "state", "locked", "avatar_url", "web_url"}
    assert set(get(sandbox, "/users", sandbox.owner_token).json()[0]) == basic
    assert {"is_admin", "last_activity_on", "created_by"} <= set(get(sandbox, "/users").json()[0])
    assert "is_admin" not in get(sandbox, "/user", sandbox.owner_token).json()


def test_only_a_single_runner_tells_what_jobs_it_takes(sandbox: GitLabSandbox) -> None:
    (listed,) = (row for row in get(sandbox, "/groups/8001/runners").json() if row["id"] == 401)
    alone = get(sandbox, "/runners/401").json()
    assert {"tag_list", "run_untagged", "access_level", "contacted_at", "groups"} <= set(alone) - set(listed)


def test_only_a_single_agent_token_tells_its_last_use(sandbox: GitLabSandbox) -> None:
    base = "/projects/9002/cluster_agents/572/tokens"
    assert "last_used_at" not in get(sandbox, base).json()[0]
    assert get(sandbox, f"{base}/582").json()["last_used_at"]


def test_schedule_variables_are_shown_to_maintainers(sandbox: GitLabSandbox) -> None:
    path = "/projects/9002/pipeline_schedules/562"
    assert get(sandbox, path).json()["variables"]
    assert "variables" not in get(sandbox, path, sandbox.member_token).json()


def test_offset_pages_have_links_on_their_own_host_and_no_total_when_long() -> None:
    instance = build()
    instance.lists["/projects/9003/variables"] = [variable(f"N{number}", "x") for number in range(45)]
    with GitLabSandbox(instance=instance, total=40) as sandbox:
        first = get(sandbox, "/projects/9003/variables")
        assert len(first.json()) == 20
        assert "x-total" not in first.headers
        assert "last" not in first.links
        assert first.links["next"]["url"].startswith(sandbox.url)
        assert first.headers["x-next-page"] == "2"
        last = get(sandbox, "/projects/9003/variables", page=3)
        assert len(last.json()) == 5
        assert "next" not in last.links
        short = get(sandbox, "/projects/9002/variables")
        assert short.headers["x-total"] == "4"


def test_keyset_pages_have_a_cursor_and_no_total(sandbox: GitLabSandbox) -> None:
    page = get(sandbox, "/projects", pagination="keyset", order_by="id", per_page=2)
    assert "x-total" not in page.headers
    assert "cursor=" in page.links["next"]["url"]
    rest = requests.get(page.links["next"]["url"], headers={"PRIVATE-TOKEN": sandbox.token}, timeout=10)
    assert [row["id"] for row in [*page.json(), *rest.json()]] == [9001, 9002, 9003, 9004]
    assert "next" not in rest.links


def merged(files: dict[str, str], token: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the sandbox makes of handbook with these files, and the configuration in it."""
    instance = build()
    instance.files.update({f"9003/{path}": text for path, text in files.items()})
    with GitLabSandbox(instance=instance) as sandbox:
        given = getattr(sandbox, token) if token else None
        answer: dict[str, Any] = get(sandbox, "/projects/9003/ci/lint", given).json()
    return answer, yaml.safe_load(answer["merged_yaml"] or "{}")


def test_a_definition_is_merged_as_gitlab_documents_it() -> None:
    # https://docs.gitlab.com/ci/yaml/includes/#merge-method-for-include
    answer, config = merged(
        {
            ".gitlab-ci.yml": "include: common.yml\nvariables: {POSTGRES_USER: username}\n"
            "test:\n  rules: [{if: $CI_PIPELINE_SOURCE, when: manual}]\n  artifacts: {reports: {junit: rspec.xml}}\n",
            "common.yml": "variables: {POSTGRES_USER: common_username, POSTGRES_PORT: '1'}\n"
            "test:\n  rules: [{when: never}]\n  script: [rake spec]\n  artifacts: {reports: {dotenv: deploy.env}}\n",
        }
    )
    assert config == {
        "variables": {"POSTGRES_USER": "username", "POSTGRES_PORT": "1"},
        "test": {
            "rules": [{"if": "$CI_PIPELINE_SOURCE", "when": "manual"}],
            "script": ["rake spec"],
            "artifacts": {"reports": {"dotenv": "deploy.env", "junit": "rspec.xml"}},
        },
    }
    assert set(answer) == {"valid", "errors", "warnings", "merged_yaml", "includes"}
    (row,) = answer["includes"]
    # https://docs.gitlab.com/api/lint/ : the fields of an include
    assert set(row) == {"type", "location", "blob", "raw", "extra", "context_project", "context_sha"}
    assert (row["type"], row["location"], row["context_project"]) == (
        "local",
        "common.yml",
        "lantern/handbook",
    )
    assert row["blob"].endswith(f"/lantern/handbook/-/blob/{row['context_sha']}/common.yml")


def test_extends_stays_and_references_are_resolved_after_it() -> None:
    _, config = merged(
        {
            ".gitlab-ci.yml": ".a: {script: [x], variables: {A: '1', B: '1'}}\n.b: {extends: .a, variables: {B: '2'}}\n"
            "job: {script: [!reference [.b, script], y], variables: !reference [.b, variables]}\n"
        }
    )
    assert config[".b"] == {"script": ["x"], "variables": {"A": "1", "B": "2"}, "extends": ".a"}
    assert config["job"] == {"script": [["x"], "y"], "variables": {"A": "1", "B": "2"}}


def test_rules_of_includes_see_a_branch_only_for_who_may_push() -> None:
    files_given = {
        ".gitlab-ci.yml": 'include:\n  - {local: a.yml, rules: [{if: $CI_COMMIT_BRANCH == "main"}]}\n'
        "  - {local: b.yml, rules: [{if: $CI_COMMIT_TAG}]}\njob: {script: [x]}\n",
        "a.yml": "a: {script: [x]}\n",
        "b.yml": "b: {script: [x]}\n",
    }
    assert set(merged(files_given)[1]) == {"a", "job"}
    assert set(merged(files_given, "member_token")[1]) == {"job"}


def test_what_cannot_be_included_leaves_nothing_merged() -> None:
    answer, _ = merged({".gitlab-ci.yml": "include: gone.yml\njob: {script: [x]}\n"})
    assert (answer["valid"], answer["merged_yaml"], answer["includes"]) == (False, None, None)
    assert answer["errors"] == ["Local file `gone.yml` does not exist!"]


def test_a_definition_of_another_project_is_not_looked_at() -> None:
    instance = build()
    instance.projects[9003]["ci_config_path"] = "pages.yml@lantern/ci-templates"
    with GitLabSandbox(instance=instance) as sandbox:
        answer = get(sandbox, "/projects/9003/ci/lint").json()
    assert answer["errors"] == ["Please provide content of .gitlab-ci.yml"]


def test_graphql_gives_an_empty_list_to_who_may_not_see_one(sandbox: GitLabSandbox) -> None:
    query = '{ project(fullPath: "lantern/fraud-model") { userPermissions { adminProject } pipelineTriggers { nodes { id } } } }'
    seen = ask(sandbox, query)["data"]["project"]
    unseen = ask(sandbox, query, sandbox.member_token)["data"]["project"]
    assert (seen["userPermissions"]["adminProject"], len(seen["pipelineTriggers"]["nodes"])) == (True, 1)
    assert (unseen["userPermissions"]["adminProject"], unseen["pipelineTriggers"]["nodes"]) == (False, [])


def test_graphql_refuses_what_the_schema_lacks() -> None:
    with GitLabSandbox(without=frozenset({"lastUsed"})) as old:
        answer = ask(
            old, '{ project(fullPath: "lantern/handbook") { pipelineTriggers { nodes { lastUsed } } } }'
        )
    assert "lastUsed" in answer["errors"][0]["message"]
    assert "data" not in answer


@pytest.mark.parametrize(
    ("trouble", "named"),
    [
        ("too-many", {"retry-after", "ratelimit-reset"}),
        ("too-many-reset", {"ratelimit-reset"}),
        ("too-many-bare", set()),
    ],
)
def test_rate_limits_come_in_three_shapes(trouble: Any, named: set[str]) -> None:
    with GitLabSandbox() as sandbox:
        sandbox.fail("*", trouble)
        answer = get(sandbox, "/user")
        assert answer.status_code == 429
        assert {name.lower() for name in answer.headers} & {"retry-after", "ratelimit-reset"} == named
        assert abs(int(answer.headers.get("ratelimit-reset", time.time())) - time.time()) < 5
        assert "errors" in ask(sandbox, "{ project(fullPath: 1) { id } }")


def test_the_company_is_that_of_the_estate() -> None:
    instance = build()
    assert instance.groups[GITLAB_GROUP_ID]["full_path"] == GITLAB_GROUP
    assert {number: one["path"] for number, one in instance.projects.items()} == {
        one.id: one.name for one in PROJECTS
    }
    for one in PROJECTS:
        text = instance.files[f"{one.id}/.gitlab-ci.yml"]
        assert ("id_tokens" in text) == (one.login == "oidc")
        if one.role:
            assert f"arn:aws:iam::{one.account}:role/{one.role}" in text
        if one.environment:
            assert f"name: {one.environment}" in text
        for word in (one.workload or "").partition(":")[2].split("/"):
            assert word in text
    values = {row["key"]: row["value"] for row in instance.lists["/projects/9002/variables"]}
    assert values["AWS_ACCESS_KEY_ID"] == key_id(DEV, "ci-fraud")
    assert values["AWS_SECRET_ACCESS_KEY"] == key_secret(DEV, "ci-fraud")


def test_a_night_is_always_the_same_and_the_second_differs() -> None:
    assert build(1) == build(1)
    assert build(2) == build(2)
    assert build(1) != build(2)


def test_the_settings_configure_the_collector(sandbox: GitLabSandbox) -> None:
    section, environment = sandbox.section(), sandbox.environment()
    assert section["base_url"] == sandbox.url
    assert list(environment.values()) == [sandbox.token]
    assert section["token"] == f"${{env:{next(iter(environment))}}}"


SCHEMA = json.loads(
    (files("check_jsonschema") / "builtin_schemas/vendor/gitlab-ci.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", [one.name for one in PROJECTS])
def test_pipelines_are_what_gitlab_runs(name: str) -> None:
    text = (files("sandbox.gitlab") / f"pipelines/{name}.yml").read_text(encoding="utf-8")
    errors = [error.message[:200] for error in Draft7Validator(SCHEMA).iter_errors(yaml.safe_load(text))]
    assert not errors
