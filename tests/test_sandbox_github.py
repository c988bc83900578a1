"""The simulated GitHub follows GitHub's own descriptions, and refuses requests as GitHub does."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import requests
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from sandbox.github import GitHubSandbox, build, build_large
from sandbox.github.limits import GitHubLimits
from sandbox.github.organization import blob_sha
from sandbox.github.server import ROUTES, TOKEN_ROUTE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.github.route import GitHubRoute

DESCRIPTION: dict[str, Any] = json.loads(
    gzip.decompress((Path(__file__).parent / "data/github-openapi.json.gz").read_bytes())
)
EXTRA = {
    # GitHub answers these, and its description does not list them, or not everywhere.
    "can_admins_bypass",
    "custom_properties",
    "security_and_analysis",
    # Permissions of Apps that the list of them leaves out.
    "actions_variables",
    "agent_secrets",
    "agent_variables",
    "codespaces_secrets",
    "organization_actions_variables",
    "organization_agent_secrets",
    "organization_agent_variables",
    "organization_dependabot_secrets",
}
ORG = "lanternpay"


@pytest.fixture(scope="module")
def cloud() -> Iterator[GitHubSandbox]:
    # Reading everything takes more than the 900 requests that GitHub allows per minute.
    with GitHubSandbox(limits=GitHubLimits(rest_points=100_000)) as sandbox:
        yield sandbox


def get(sandbox: GitHubSandbox, path: str, token: str | None = None, **headers: str) -> requests.Response:
    authorization = {"Authorization": f"token {token or sandbox.token}"}
    url = path if path.startswith("http") else sandbox.url + path
    return requests.get(url, headers=authorization | headers, timeout=10)


def query(
    sandbox: GitHubSandbox, document: str, token: str | None = None, **variables: Any
) -> dict[str, Any]:
    answer = requests.post(
        sandbox.graphql_url,
        json={"query": document, "variables": variables},
        headers={"Authorization": f"bearer {token or sandbox.token}"},
        timeout=10,
    )
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def validator(route: str, status: int = 200) -> Any:
    schema = DESCRIPTION["operations"][route][str(status)]
    return Draft202012Validator(
        {"allOf": [schema], "components": DESCRIPTION["components"]},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = DESCRIPTION["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def branches(schemas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the schemas with all alternatives and parts laid side by side."""
    found = []
    pending = list(schemas)
    while pending:
        schema = resolve(pending.pop())
        found.append(schema)
        for word in ("allOf", "anyOf", "oneOf"):
            pending += schema.get(word, [])
    return found


def undeclared(schemas: list[dict[str, Any]], answer: Any, where: str = "") -> Iterator[str]:
    """Yield the keys of an answer that no branch of its schema knows."""
    known = branches(schemas)
    match answer:
        case list():
            inside = [schema["items"] for schema in known if "items" in schema]
            for one in answer:
                yield from undeclared(inside, one, f"{where}[]")
        case dict():
            named = [schema["properties"] for schema in known if "properties" in schema]
            if not named:
                return
            for key, value in answer.items():
                declared = [properties[key] for properties in named if key in properties]
                if declared:
                    yield from undeclared(declared, value, f"{where}.{key}")
                elif key not in EXTRA:
                    yield f"{where}.{key}"


def addresses(sandbox: GitHubSandbox, template: str) -> Iterator[str]:
    """Yield every address that a template can have in the sandbox's organization."""
    organization = sandbox.organization
    values: dict[str, list[str]] = {
        "org": [ORG],
        "owner": [ORG],
        "username": [user.login for user in organization.users],
        "team_slug": [team.slug for team in organization.teams],
        "secret_name": [one.name for one in organization.secrets if one.visibility == "selected"],
        "name": [one.name for one in organization.variables if one.visibility == "selected"],
        "pat_id": [str(one.id) for one in organization.tokens],
        "pat_request_id": [str(one.id) for one in organization.tokens],
        "runner_group_id": [str(group.id) for group in organization.runner_groups],
        "role_id": [str(role.id) for role in organization.organization_roles],
        "installation_id": [str(organization.installations[0].id)],
        "ruleset_id": [str(one.id) for one in organization.rulesets],
    }
    if "{repo}" not in template:
        yield from expand(template, values)
        return
    for repository in organization.repositories:
        yield from expand(
            template,
            values
            | {
                "repo": [repository.name],
                "environment_name": [one.name for one in repository.environments],
                "branch": [repository.default_branch],
                "ruleset_id": [str(one.id) for one in (*repository.rulesets, *organization.rulesets)],
                "deployment_id": [str(one.id) for one in repository.deployments],
                "subject_digest": list(repository.attested),
                "path": [".github/workflows", *list(repository.files)[:2]],
                "tree_sha": ["HEAD", "main?recursive=1"],
                "file_sha": [blob_sha(text) for text in list(repository.files.values())[:2]],
            },
        )


def expand(template: str, values: dict[str, list[str]]) -> Iterator[str]:
    head, brace, rest = template.partition("{")
    if not brace:
        yield template
        return
    name, _, tail = rest.partition("}")
    for value in values[name]:
        yield from expand(head + value + tail, values)


def fitting(sandbox: GitHubSandbox, route: GitHubRoute) -> str:
    """Return a token of the kind that the route is for."""
    if route.need.app_itself:
        return app_jwt(sandbox)
    if route.need.only_apps or route.template.startswith("/installation/"):
        return sandbox.installation_token()
    return sandbox.token


def app_jwt(sandbox: GitHubSandbox, **changes: Any) -> str:
    claims = {"iat": int(time.time()) - 10, "exp": int(time.time()) + 500, "iss": str(sandbox.app.app_id)}
    return jwt.encode(claims | changes, sandbox.app.private_key, algorithm="RS256")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.template)
def test_every_answer_is_what_github_describes(cloud: GitHubSandbox, route: GitHubRoute) -> None:
    name = f"GET {route.template}"
    check = validator(name)
    token = fitting(cloud, route)
    seen = set()
    for path in addresses(cloud, route.template):
        answer = get(cloud, path, token)
        if answer.status_code != 200:
            # Nothing there: an unprotected branch, a list that is not restricted, a team nobody is in.
            assert answer.status_code in {404, 409, 422}, (path, answer.text)
            continue
        if answer.text in seen:
            continue
        seen.add(answer.text)
        errors = [f"{error.json_path}: {error.message[:300]}" for error in check.iter_errors(answer.json())]
        assert not errors, path
        assert not set(undeclared([DESCRIPTION["operations"][name]["200"]], answer.json())), path
    # All Actions are allowed in the whole organization, so there is no selection to show.
    assert seen or route.template == "/orgs/{org}/actions/permissions/selected-actions"


def test_the_description_lists_every_route_and_no_other() -> None:
    ours = {f"{route.method} {route.template}" for route in ROUTES} | {
        f"POST {TOKEN_ROUTE}",
        "GET /rate_limit",
    }
    assert ours == set(DESCRIPTION["operations"])


@pytest.mark.parametrize(
    ("edition", "absent"),
    [
        ("ghes", {f"GET {route.template}" for route in ROUTES if not route.ghes}),
        ("team", {f"GET {route.template}" for route in ROUTES if route.enterprise}),
    ],
)
def test_what_an_edition_lacks_is_what_its_description_lacks(edition: str, absent: set[str]) -> None:
    assert absent == set(DESCRIPTION["missing"][edition])


def test_enterprise_server_answers_under_its_prefix_and_lacks_what_it_lacks() -> None:
    with GitHubSandbox(shape="ghes") as sandbox:
        assert sandbox.url.endswith("/api/v3")
        hooks = get(sandbox, f"/orgs/{ORG}/hooks")
        assert hooks.status_code == 200
        assert hooks.json()[0]["url"].startswith(f"{sandbox.url}/orgs/")
        assert "X-RateLimit-Limit" not in hooks.headers
        assert hooks.headers["X-GitHub-Enterprise-Version"] == "3.19.1"
        assert get(sandbox, f"/orgs/{ORG}/codespaces/secrets").status_code == 404
        assert get(sandbox, f"{sandbox.origin}/orgs/{ORG}/hooks").status_code == 404
        assert get(sandbox, "/rate_limit").status_code == 404
        assert (
            "use_immutable_subject" not in get(sandbox, f"/orgs/{ORG}/actions/oidc/customization/sub").json()
        )
        assert query(sandbox, "{viewer{login}}") == {"data": {"viewer": {"login": "amara-okafor"}}}


def test_without_enterprise_cloud_there_is_no_audit_log() -> None:
    with GitHubSandbox(shape="team") as sandbox:
        assert get(sandbox, f"/orgs/{ORG}/audit-log").status_code == 404
        assert get(sandbox, f"/orgs/{ORG}/credential-authorizations").status_code == 404
        assert get(sandbox, f"/orgs/{ORG}/codespaces/secrets").status_code == 200


# Pages


def test_pages_follow_link_headers_to_the_end(cloud: GitHubSandbox) -> None:
    answer = get(cloud, f"/orgs/{ORG}/repos?per_page=3")
    names = [one["name"] for one in answer.json()]
    assert answer.links["last"]["url"].endswith("page=7")
    while "next" in answer.links:
        # Addresses by id, as on github.com.
        assert f"/organizations/{cloud.organization.id}/repos" in answer.links["next"]["url"]
        answer = get(cloud, answer.links["next"]["url"])
        names += [one["name"] for one in answer.json()]
    assert names == [one.name for one in cloud.organization.repositories]
    assert answer.links["first"]["url"].endswith("page=1")


def test_wrapped_lists_count_and_variables_come_ten_at_a_time(cloud: GitHubSandbox) -> None:
    answer = get(cloud, f"/orgs/{ORG}/actions/variables")
    assert (answer.json()["total_count"], len(answer.json()["variables"])) == (16, 10)
    assert len(get(cloud, f"/orgs/{ORG}/actions/variables?per_page=100").json()["variables"]) == 16
    assert len(get(cloud, answer.links["next"]["url"]).json()["variables"]) == 6
    repository = get(cloud, "/repositories/5003/actions/variables?per_page=30").json()
    assert [one["name"] for one in repository["variables"]] == ["AWS_ACCESS_KEY_ID"]


def test_the_audit_log_pages_by_cursor(cloud: GitHubSandbox) -> None:
    answer = get(cloud, f"/orgs/{ORG}/audit-log?per_page=4")
    actions = [one["action"] for one in answer.json()]
    while "next" in answer.links:
        assert "after=" in answer.links["next"]["url"]
        answer = get(cloud, answer.links["next"]["url"])
        actions += [one["action"] for one in answer.json()]
    assert actions == [event.action for event in cloud.organization.audit_log]
    found = get(cloud, f"/orgs/{ORG}/audit-log?phrase=action:public_key.create+repo:{ORG}/infra").json()
    assert [one["name"] for one in found] == ["atlantis"]
    assert get(cloud, f"/orgs/{ORG}/audit-log?after=nonsense").status_code == 422


# ETags


def test_an_etag_saves_the_primary_limit_and_belongs_to_one_token(cloud: GitHubSandbox) -> None:
    first = get(cloud, f"/orgs/{ORG}/hooks")
    used = int(first.headers["X-RateLimit-Used"])
    again = get(cloud, f"/orgs/{ORG}/hooks", **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert int(again.headers["X-RateLimit-Used"]) == used
    other = cloud.classic_token("admin:org_hook")
    assert (
        get(cloud, f"/orgs/{ORG}/hooks", other, **{"If-None-Match": first.headers["ETag"]}).status_code == 200
    )


def test_etags_hold_from_night_to_night_where_nothing_changed() -> None:
    paths = [f"/repos/{ORG}/ledger/keys", f"/repos/{ORG}/payments-api/keys"]
    with GitHubSandbox(night=1) as first:
        tags = {path: get(first, path).headers["ETag"] for path in paths}
        token = first.token
        first.serve(build(2))
        assert get(first, paths[1]).headers["ETag"] != tags[paths[1]]
    with GitHubSandbox(night=2) as second:
        assert second.token == token
        statuses = [get(second, path, **{"If-None-Match": tags[path]}).status_code for path in paths]
    assert statuses == [304, 200]


def test_two_sandboxes_answer_alike() -> None:
    paths = [f"/orgs/{ORG}/repos", f"/orgs/{ORG}/audit-log", f"/repos/{ORG}/infra/environments"]
    bodies = []
    for _ in range(2):
        with GitHubSandbox() as sandbox:
            bodies.append([get(sandbox, path).text.replace(sandbox.origin, "") for path in paths])
    assert bodies[0] == bodies[1]


# Permissions


def test_an_app_exchanges_its_jwt_for_an_installation_token(cloud: GitHubSandbox) -> None:
    url = f"{cloud.url}/app/installations/{cloud.app.installation_id}/access_tokens"
    headers = {"Authorization": f"Bearer {app_jwt(cloud)}"}
    made = requests.post(url, headers=headers, timeout=10)
    assert made.status_code == 201
    # PyGithub asks for no permission in particular with an empty object, and gets them all.
    empty = requests.post(url, headers=headers, json={"permissions": {}}, timeout=10)
    assert empty.json()["permissions"] == made.json()["permissions"] == cloud.tokens.app_permissions
    assert not list(validator(f"POST {TOKEN_ROUTE}", 201).iter_errors(made.json()))
    answer = get(cloud, f"/orgs/{ORG}/personal-access-tokens", made.json()["token"])
    assert [one["token_name"] for one in answer.json()][:2] == ["ci-everything", "local-dev"]
    assert answer.headers["X-Accepted-GitHub-Permissions"] == "organization_personal_access_tokens=read"
    narrow = requests.post(
        url,
        headers={"Authorization": f"Bearer {app_jwt(cloud, iss=cloud.app.client_id)}"},
        json={"permissions": {"metadata": "read"}, "repositories": ["ledger"]},
        timeout=10,
    ).json()
    assert narrow["repository_selection"] == "selected"
    names = get(cloud, "/installation/repositories", narrow["token"]).json()["repositories"]
    assert [one["name"] for one in names] == ["ledger"]
    assert get(cloud, f"/repos/{ORG}/infra", narrow["token"]).status_code == 404


@pytest.mark.parametrize(
    "claims",
    [{"exp": int(time.time()) - 300}, {"exp": int(time.time()) + 3600}, {"iss": "12"}],
    ids=["expired", "too long", "another App"],
)
def test_a_wrong_jwt_is_refused(cloud: GitHubSandbox, claims: dict[str, Any]) -> None:
    assert get(cloud, "/app", app_jwt(cloud, **claims)).status_code == 401


def test_what_apps_may_not_see_is_refused_with_the_permission_that_it_needs(cloud: GitHubSandbox) -> None:
    token = cloud.installation_token()
    codespaces = get(cloud, f"/orgs/{ORG}/codespaces/secrets", token)
    assert (codespaces.status_code, codespaces.json()["message"]) == (
        403,
        "Resource not accessible by integration",
    )
    rulesets = get(cloud, f"/orgs/{ORG}/rulesets", token)
    assert rulesets.status_code == 403
    assert rulesets.headers["X-Accepted-GitHub-Permissions"] == "organization_administration=write"
    narrow = cloud.fine_grained_token({"metadata": "read"}, ["ledger"])
    keys = get(cloud, f"/repos/{ORG}/ledger/keys", narrow)
    assert (keys.status_code, keys.json()["message"]) == (
        403,
        "Resource not accessible by personal access token",
    )
    assert "github-authentication-token-expiration" in keys.headers
    assert get(cloud, f"/repos/{ORG}/infra/keys", narrow).status_code == 404


def test_a_classic_token_is_evaluated_by_its_scopes(cloud: GitHubSandbox) -> None:
    token = cloud.classic_token("read:org", "public_repo")
    answer = get(cloud, f"/orgs/{ORG}/members", token)
    assert answer.headers["X-OAuth-Scopes"] == "public_repo, read:org"
    assert answer.headers["X-Accepted-OAuth-Scopes"] == "read:org"
    assert get(cloud, f"/orgs/{ORG}/actions/secrets", token).status_code == 403
    assert get(cloud, f"/orgs/{ORG}/hooks", token).status_code == 404
    assert get(cloud, f"/repos/{ORG}/ledger", token).status_code == 404
    assert get(cloud, f"/repos/{ORG}/docs-site", token).status_code == 200
    visible = get(cloud, f"/orgs/{ORG}/repos", token).json()
    assert [one["name"] for one in visible] == ["docs-site", "pr-preview"]
    assert get(cloud, f"/orgs/{ORG}/personal-access-tokens").status_code == 403
    assert get(cloud, f"/orgs/{ORG}/hooks", "ghp_unknown").status_code == 401


def test_bypass_actors_are_shown_to_those_who_may_write_the_ruleset(cloud: GitHubSandbox) -> None:
    path = f"/repos/{ORG}/infra/rulesets/60501"
    assert get(cloud, path).json()["bypass_actors"][0]["actor_type"] == "OrganizationAdmin"
    assert "bypass_actors" not in get(cloud, path, cloud.installation_token()).json()
    listed = get(cloud, f"/repos/{ORG}/infra/rulesets?includes_parents=true").json()
    assert {one["source_type"] for one in listed} == {"Repository", "Organization"}
    assert not {"rules", "bypass_actors"} & listed[0].keys()
    # An evaluated ruleset guards nothing, and is not among the rules of a branch.
    assert get(cloud, f"/repos/{ORG}/data-jobs/rules/branches/main").json() == []
    assert len(get(cloud, f"/repos/{ORG}/ledger/rules/branches/main").json()) == 3


def test_a_revoked_permission_is_gone_at_once() -> None:
    with GitHubSandbox() as sandbox:
        token = sandbox.installation_token()
        assert get(sandbox, f"/orgs/{ORG}/hooks", token).status_code == 200
        sandbox.revoke("organization_hooks")
        assert get(sandbox, f"/orgs/{ORG}/hooks", token).status_code == 403
        assert get(sandbox, f"/orgs/{ORG}/hooks", sandbox.installation_token()).status_code == 403
        assert get(sandbox, f"/orgs/{ORG}/hooks").status_code == 200
        sandbox.revoke("admin:org_hook")
        assert get(sandbox, f"/orgs/{ORG}/hooks").status_code == 404


def test_a_secret_scanning_alert_hides_its_secret_when_asked_to(cloud: GitHubSandbox) -> None:
    path = f"/orgs/{ORG}/secret-scanning/alerts"
    assert all("secret" in alert for alert in get(cloud, path).json())
    assert not any("secret" in alert for alert in get(cloud, f"{path}?hide_secret=true").json())


# GitHubLimits and faults


def test_the_hourly_limit_ends_with_its_window() -> None:
    with GitHubSandbox(limits=GitHubLimits(core=3, scale=3600)) as sandbox:
        statuses = [get(sandbox, f"/orgs/{ORG}/hooks").status_code for _ in range(3)]
        refused = get(sandbox, f"/orgs/{ORG}/hooks")
        assert (statuses, refused.status_code) == ([200, 200, 200], 403)
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        assert refused.json()["message"].startswith("API rate limit exceeded")
        wait = int(refused.headers["X-RateLimit-Reset"]) - time.time()
        assert wait <= 2
        time.sleep(max(0.0, wait))
        assert get(sandbox, f"/orgs/{ORG}/hooks").status_code == 200


def test_the_secondary_limit_counts_a_minute() -> None:
    with GitHubSandbox(limits=GitHubLimits(rest_points=2)) as sandbox:
        answers = [get(sandbox, f"/orgs/{ORG}/hooks") for _ in range(3)]
        assert [one.status_code for one in answers] == [200, 200, 403]
        assert "secondary rate limit" in answers[2].json()["message"]
        assert 1 <= int(answers[2].headers["Retry-After"]) <= 60
        # GraphQL counts for itself.
        assert "data" in query(sandbox, "{viewer{login}}")


def test_too_many_requests_at_once_meet_the_secondary_limit() -> None:
    with GitHubSandbox(limits=GitHubLimits(concurrent=2), latency=0.5) as sandbox:
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: get(sandbox, f"/orgs/{ORG}/hooks"), range(6)))
        statuses = Counter(answer.status_code for answer in answers)
        assert statuses[200] >= 2
        assert statuses[403] >= 1
        assert all(answer.elapsed.total_seconds() >= 0.5 for answer in answers if answer.ok)


@pytest.mark.parametrize(
    ("trouble", "status", "header"),
    [
        (500, 500, None),
        ("primary", 403, "X-RateLimit-Reset"),
        ("secondary", 403, "Retry-After"),
        ("secondary-bare", 403, None),
        ("too-many", 429, "Retry-After"),
        ("too-many-bare", 429, None),
    ],
)
def test_a_fault_strikes_the_paths_it_was_set_for(trouble: Any, status: int, header: str | None) -> None:
    with GitHubSandbox() as sandbox:
        sandbox.fail("/repos/*/keys", trouble, times=1)
        assert get(sandbox, f"/repos/{ORG}/ledger/hooks").status_code == 200
        answer = get(sandbox, f"/repos/{ORG}/ledger/keys")
        assert answer.status_code == status
        assert header is None or header in answer.headers
        assert header == "Retry-After" or "Retry-After" not in answer.headers
        assert get(sandbox, f"/repos/{ORG}/ledger/keys").status_code == 200


def test_connections_are_cut_bodies_spoiled_and_links_lead_astray() -> None:
    with GitHubSandbox() as sandbox:
        sandbox.fail("/orgs/{org}/hooks", "cut", times=1)
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            get(sandbox, f"/orgs/{ORG}/hooks")
        sandbox.fail("GET /orgs/{org}/hooks", "malformed", times=1)
        with pytest.raises(requests.JSONDecodeError):
            get(sandbox, f"/orgs/{ORG}/hooks").json()
        sandbox.fail("/orgs/{org}/hooks", "foreign-next", times=1)
        assert "elsewhere.example" in get(sandbox, f"/orgs/{ORG}/hooks").links["next"]["url"]
        sandbox.fail("/orgs/{org}/hooks", "looping-next")
        link = get(sandbox, f"/orgs/{ORG}/hooks").links["next"]["url"]
        assert get(sandbox, link).links["next"]["url"] == link
        sandbox.faults.clear()
        assert not get(sandbox, f"/orgs/{ORG}/hooks").links
        assert sandbox.calls["GET /orgs/{org}/hooks"] == 6


def test_calls_and_the_log_tell_what_was_asked() -> None:
    with GitHubSandbox() as sandbox:
        get(sandbox, f"/repos/{ORG}/ledger/keys")
        requests.delete(f"{sandbox.url}/repos/{ORG}/ledger/keys/80301", timeout=10)
        assert dict(sandbox.calls) == {
            "GET /repos/{owner}/{repo}/keys": 1,
            f"DELETE /repos/{ORG}/ledger/keys/80301": 1,
        }
        assert [(call.method, call.status) for call in sandbox.log] == [("GET", 200), ("DELETE", 404)]


# GraphQL

STRUCTURE = """
query($cursor: String) {
  rateLimit { cost limit remaining nodeCount resetAt }
  organization(login: "lanternpay") {
    repositories(first: 50, after: $cursor, orderBy: {field: CREATED_AT, direction: ASC}) {
      totalCount pageInfo { hasNextPage endCursor }
      nodes {
        databaseId name isArchived visibility pushedAt defaultBranchRef { name target { oid } }
        deployKeys(first: 20) { nodes { title readOnly createdAt } }
        environments(first: 10) { nodes { name } }
        branchProtectionRules(first: 5) { nodes { pattern isAdminEnforced } }
        rulesets(first: 5) { nodes { name enforcement source { ... on Organization { login } } } }
        collaborators(affiliation: OUTSIDE, first: 20) { edges { permission node { login } } }
        deployments(first: 3, orderBy: {field: CREATED_AT, direction: DESC}) { nodes { environment state } }
        workflows: object(expression: "HEAD:.github/workflows") { ... on Tree { entries { name oid size } } }
        gitlab: object(expression: "HEAD:.gitlab-ci.yml") { oid }
      }
    }
  }
}
"""


def test_the_structure_query_costs_three_points_and_agrees_with_rest(cloud: GitHubSandbox) -> None:
    answer = query(cloud, STRUCTURE)
    assert "errors" not in answer
    assert answer["data"]["rateLimit"]["cost"] == 3
    nodes = answer["data"]["organization"]["repositories"]["nodes"]
    for node in nodes:
        rest = get(cloud, f"/repos/{ORG}/{node['name']}").json()
        assert (node["databaseId"], node["isArchived"]) == (rest["id"], rest["archived"])
        assert node["defaultBranchRef"]["name"] == rest["default_branch"]
        keys = get(cloud, f"/repos/{ORG}/{node['name']}/keys").json()
        assert [key["title"] for key in node["deployKeys"]["nodes"]] == [key["title"] for key in keys]
        files = get(cloud, f"/repos/{ORG}/{node['name']}/contents/.github/workflows")
        if node["workflows"] is None:
            assert (node["name"][-7:], files.status_code) == ("-portal", 404)
        else:
            oids = [entry["oid"] for entry in node["workflows"]["entries"]]
            assert oids == [file["sha"] for file in files.json()]
        branch = get(cloud, f"/repos/{ORG}/{node['name']}/branches/{rest['default_branch']}").json()
        assert branch["commit"]["sha"] == node["defaultBranchRef"]["target"]["oid"]
    outside = {
        node["name"]: node["collaborators"]["edges"] for node in nodes if node["collaborators"]["edges"]
    }
    assert outside == {
        "ledger": [{"permission": "READ", "node": {"login": "auditor-kim"}}],
        "data-jobs": [{"permission": "ADMIN", "node": {"login": "contractor-jo"}}],
    }


def test_fifty_blobs_by_alias_cost_one_point(cloud: GitHubSandbox) -> None:
    text = get(cloud, f"/repos/{ORG}/infra/contents/.github/workflows/apply.yml").json()
    part = f'repository(owner: "{ORG}", name: "infra") {{ object(oid: "{text["sha"]}") {{ ...B }} }}'
    document = (
        "{rateLimit{cost}"
        + " ".join(f"a{number}: {part}" for number in range(50))
        + "} fragment B on GitObject { ... on Blob { oid byteSize isTruncated isBinary text } }"
    )
    answer = query(cloud, document)
    assert answer["data"]["rateLimit"]["cost"] == 1
    blob = answer["data"]["a49"]["object"]
    assert blob["text"] == base64.b64decode(text["content"]).decode()
    assert blob["oid"] == blob_sha(blob["text"])


def test_graphql_pages_and_minds_its_limits(cloud: GitHubSandbox) -> None:
    document = """query($n: Int!, $after: String) { organization(login: "lanternpay") {
        repositories(first: $n, after: $after) { pageInfo { hasNextPage endCursor } nodes { name } } } }"""
    names, after = [], None
    while True:
        found = query(cloud, document, n=4, after=after)["data"]["organization"]["repositories"]
        names += [node["name"] for node in found["nodes"]]
        if not found["pageInfo"]["hasNextPage"]:
            break
        after = found["pageInfo"]["endCursor"]
    assert names == [one.name for one in cloud.organization.repositories]
    assert query(cloud, document, n=101)["errors"][0]["type"] == "EXCESSIVE_PAGINATION"
    unbounded = '{organization(login: "lanternpay") {repositories {nodes {name}}}}'
    assert query(cloud, unbounded)["errors"][0]["type"] == "MISSING_PAGINATION_BOUNDARIES"
    assert "Cannot query field" in query(cloud, "{viewer{secrets}}")["errors"][0]["message"]
    missing = query(cloud, '{repository(owner: "lanternpay", name: "gone") {name}}')
    assert missing["data"] == {"repository": None}
    assert missing["errors"][0]["type"] == "NOT_FOUND"


def test_a_missing_permission_gives_data_and_errors_together(cloud: GitHubSandbox) -> None:
    held = dict.fromkeys(("metadata", "contents", "actions", "deployments"), "read")
    answer = query(cloud, STRUCTURE, cloud.installation_token(held))
    nodes = answer["data"]["organization"]["repositories"]["nodes"]
    assert nodes == [None] * 20
    assert {error["type"] for error in answer["errors"]} == {"FORBIDDEN"}
    assert answer["errors"][0]["path"][:5] == ["organization", "repositories", "nodes", 0, "deployKeys"]
    without = STRUCTURE.replace("deployKeys(first: 20) { nodes { title readOnly createdAt } }", "").replace(
        "branchProtectionRules(first: 5) { nodes { pattern isAdminEnforced } }", ""
    )
    assert "errors" not in query(cloud, without, cloud.installation_token(held))


def test_graphql_faults() -> None:
    with GitHubSandbox() as sandbox:
        for spelling in ("RATE_LIMITED", "RATE_LIMIT"):
            sandbox.fail("/graphql", spelling, times=1)
            answer = query(sandbox, STRUCTURE)
            assert (answer["errors"][0]["type"], "data" in answer) == (spelling, False)
        sandbox.fail("POST /graphql", "FORBIDDEN", times=1)
        answer = query(sandbox, STRUCTURE)
        nodes = answer["data"]["organization"]["repositories"]["nodes"]
        assert [node is None for node in nodes] == [True] + [False] * 19
        assert answer["errors"][0]["path"] == ["organization", "repositories", "nodes", 0]
        sandbox.limiter.exhaust(sandbox.token, "graphql")
        assert query(sandbox, "{viewer{login}}")["errors"][0]["type"] == "RATE_LIMITED"


# Size


def test_ten_thousand_repositories_are_made_when_asked_for() -> None:
    organization = build_large(10_000)
    with GitHubSandbox(organization=organization) as sandbox:
        answer = get(sandbox, f"/orgs/{ORG}/repos?per_page=100&page=100")
        assert [answer.json()[0]["name"], answer.json()[-1]["name"]] == ["service-09900", "service-09999"]
        assert "next" not in answer.links
        assert get(sandbox, "/repositories/104242/keys").status_code == 200
        assert get(sandbox, f"/repos/{ORG}/service-10000").status_code == 404
        assert get(sandbox, f"/repos/{ORG}/service-1").status_code == 404
        nodes = query(sandbox, STRUCTURE)["data"]["organization"]["repositories"]["nodes"]
        assert sum(1 for node in nodes if node["workflows"]) == 30


def test_the_second_night_of_a_large_organization_changes_one_in_fifty() -> None:
    first, second = build_large(1_000), build_large(1_000, night=2)
    changed = [one.name for one in first.repositories if second.repositories.named(one.name) != one]
    assert len(changed) == 20
    assert {event.repository for event in second.audit_log} == set(changed)
