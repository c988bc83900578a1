"""What GitLab says about a project's agents, environments, webhooks and deploy keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.gitlab import GitLabSandbox, build
from sandbox.gitlab import entities as give
from scanner.records import Control, Credential, Grant, Identity, Link, Secret
from tests.github_night import gaps, of
from tests.gitlab_night import collected, config
from tests.nights import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.gitlab.instance import Instance
    from scanner.records import Record

RISK, FRAUD = "/projects/9001", "/projects/9002"


def _estate() -> Instance:
    made = build()
    agents = made.lists[f"{RISK}/cluster_agents"]
    agents.append(
        {**give.agent(573, "ownerless", made.projects[9001], created=9), "created_by_user_id": None}
    )
    agents.append(
        {**give.agent(574, "of somebody gone", made.projects[9001], created=9), "created_by_user_id": 4711}
    )
    live = give.environment(545, "eu-west", tier="production")
    live |= {"cluster_agent": agents[0], "kubernetes_namespace": "core"}
    unsaid = give.environment(546, "preview", tier="other")
    del unsaid["tier"]
    ended = {**give.environment(547, "old-production", tier="production"), "state": "stopped"}
    ended["cluster_agent"] = agents[0]
    made.lists[f"{FRAUD}/environments"] += [live, unsaid, ended]
    made.lists[f"{FRAUD}/protected_environments"] = [
        give.protected_environment("old-production", [give.access(40)], []),
        give.protected_environment("not-there-yet", [give.access(40)], []),
    ]
    hook = made.lists[f"{FRAUD}/hooks"][0]
    hook["custom_headers"] = [{"key": "Authorization"}, {"key": "X-Environment"}, {"key": "X-Api-Key"}]
    hook["url_variables"] = [{"key": "part"}]
    plain = give.hook(813, "http://10.20.0.32/train", ("project", 9002))
    del plain["custom_headers"]
    made.lists[f"{FRAUD}/hooks"].append(plain)
    signs = {**give.deploy_key(523, "signs", can_push=True, created=10), "usage_type": "signing"}
    unsaid_key = give.deploy_key(524, "older", can_push=True, created=10)
    del unsaid_key["usage_type"]
    made.lists.setdefault(f"{FRAUD}/deploy_keys", []).extend((signs, unsaid_key))
    return made


@pytest.fixture(scope="module", params=[frozenset[str](), frozenset({"lastUsedAt"})], ids=["GraphQL", "REST"])
def night(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Record]]:
    """A night with GraphQL's agents, and one with REST's."""
    with (
        pytest.MonkeyPatch.context() as patch,
        GitLabSandbox(instance=_estate(), without=request.param) as sandbox,
    ):
        yield collected(config(sandbox, patch), run(tmp_path_factory.mktemp("night")))


def test_an_agent_belongs_to_who_created_it(night: list[Record]) -> None:
    found = {
        row.name: (row.owner, row.owner_source) for row in of(night, Identity) if row.kind == "gitlab-agent"
    }
    creator = build().users[101]["username"]
    assert found["core-cluster"] == (creator, "creator")
    assert found["ownerless"] == found["of somebody gone"] == (None, None)
    tokens = {row.name: row.created_by for row in of(night, Credential) if row.kind == "agent-token"}
    assert tokens == {"core": creator, "dev": creator}


def test_an_environment_has_the_tier_that_gitlab_says(night: list[Record]) -> None:
    found = {
        row.name: row.tier
        for row in of(night, Control)
        if row.kind == "environment-approval" and row.account_id == "gitlab:project:9002"
    }
    assert found == {
        "development": "development",
        "production": "production",
        "eu-west": "production",
        "preview": None,
        "not-there-yet": None,
    }


def test_an_environment_that_is_stopped_has_no_gates(night: list[Record]) -> None:
    assert not [row.id for row in of(night, Control) if row.name == "old-production"]


def test_an_environment_leads_to_the_agent_that_its_jobs_deploy_through(night: list[Record]) -> None:
    (link,) = (row for row in of(night, Link) if row.target_id.startswith("gitlab:agent:"))
    assert (link.source_id, link.relation, link.target_id, link.confidence) == (
        "gitlab:pipeline:9002",
        "uses",
        "gitlab:agent:571",
        "low",
    )
    assert link.why == "Deployments to eu-west go to its cluster, namespace core."


def test_credentials_of_webhooks_are_known_by_name(night: list[Record]) -> None:
    found = {row.name for row in of(night, Credential) if row.kind == "webhook-secret"}
    assert found == {"header Authorization", "header X-Api-Key", "url-variable part"}
    assert [row.account_id for row in gaps(night) if row.kind == "webhook-secret"] == ["gitlab:project:9002"]


def test_plain_http_is_not_a_certificate_that_is_not_verified(night: list[Record]) -> None:
    found = {row.id: row.detail for row in of(night, Control) if row.kind == "webhook-tls"}
    assert found["gitlab:webhook-tls:project/813"] == "Sends events over plain HTTP."
    assert found["gitlab:webhook-tls:project/811"] == "Verifies the receiver's certificate."


def test_a_key_that_only_signs_opens_no_repository(night: list[Record]) -> None:
    keys = {
        row.name: (row.read_only, row.scopes)
        for row in of(night, Credential)
        if row.kind == "deploy-key" and row.name in {"signs", "older"}
    }
    assert keys == {"signs": (True, ["signing"]), "older": (False, [])}
    assert not [row for row in of(night, Grant) if row.identity_id == "gitlab:deploy-key-user:523"]
    (older,) = (row for row in of(night, Grant) if row.identity_id == "gitlab:deploy-key-user:524")
    assert older.level == "write"


_KEY = "q8Zr" + "T4mWx7LpV2nYc9Kd"
_FILES = {
    "DOTENV": f"# PASSWORD=not-this-{_KEY}\nexport DB_PASSWORD='{_KEY}1'\nLOG_LEVEL=debug\nAPI_TOKEN=${{OTHER}}\n",
    "TFVARS": f'region = "eu-west-1"\ndb_password = "{_KEY}2"\n',
    "SETTINGS": f"<server>\n <id>nexus</id>\n <password>{_KEY}3</password>\n</server>\n"
    f"<server><username>ci</username><password>{_KEY}4</password></server>",
    "PLAIN": "replicas = 3\nregion: eu-west-1\n",
    "ONE": '{"type": "service_account", "replicas": 3}',
}


def test_a_file_variable_is_the_secrets_that_it_assigns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = build()
    rows = [{**give.variable(name, text), "variable_type": "file"} for name, text in _FILES.items()]
    masked = {**give.variable("MASKED", "replicas = 3"), "variable_type": "file", "masked": True}
    # Of type env_var, the same text is one value.
    value = give.variable("VALUE", _FILES["PLAIN"])
    made.lists[f"{FRAUD}/variables"] = [*rows, masked, value]
    with GitLabSandbox(instance=made) as sandbox:
        night = run(tmp_path)
        records = collected(config(sandbox, monkeypatch), night)
    found = {
        row.name: row
        for row in of(records, Secret)
        if row.store == "gitlab-variable" and row.account_id == "gitlab:project:9002"
    }
    assert set(found) == {
        "DOTENV#DB_PASSWORD",
        "TFVARS#db_password",
        "SETTINGS#password",
        "SETTINGS#password (2)",
        "MASKED",
    }
    for name, number in (("DOTENV#DB_PASSWORD", 1), ("TFVARS#db_password", 2), ("SETTINGS#password (2)", 4)):
        assert found[name].fingerprint == night.fingerprint(f"{_KEY}{number}")
        assert found[name].holder_id == "gitlab:pipeline:9002"
    assert len({row.id for row in found.values()}) == 5
