"""Every planted fact and look-alike that `sandbox/planted.yaml` lists for GitHub exists in the sandbox."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import pytest
import yaml
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from sandbox.estate import GITHUB_ORG, REPOSITORIES
from sandbox.github import build, build_large
from sandbox.github.estate import SECRET_VALUES
from scanner.records import TABLES
from scanner.yaml_data import read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.github.organization import GitHubRepository, Hook, Organization

SECTION: dict[str, Any] = read_yaml(Path(__file__).parents[1] / "sandbox/planted.yaml")["github"]
FACTS: list[dict[str, Any]] = [*SECTION["planted"], *SECTION["look_alikes"]]
NIGHTS: dict[int, Organization] = {1: build(1), 2: build(2)}


REPOSITORY_SETTINGS = {
    "approval of workflow runs from forks",
    "push protection",
    "workflows cannot approve pull requests",
}
"""What every repository has, on or off."""
ORGANIZATION_SETTINGS = {
    "approval of workflow runs from forks",
    "base permission",
    "deploy key creation",
    "private fork creation",
    "two factor requirement",
}


class Named(Protocol):
    @property
    def name(self) -> str: ...


class Numbered(Protocol):
    @property
    def id(self) -> int: ...


def names(*groups: Iterable[Named]) -> set[str]:
    return {one.name for group in groups for one in group}


def numbers(*groups: Iterable[Numbered]) -> set[str]:
    return {str(one.id) for group in groups for one in group}


def hosts(hooks: Iterable[Hook]) -> set[str]:
    return {urlsplit(hook.url).hostname or "" for hook in hooks}


def repository_names(one: GitHubRepository) -> set[str]:
    """Return every name and number by which a record of a repository can be called."""
    inside = [names(each.secrets, each.variables) for each in one.environments]
    return set().union(
        names(one.secrets, one.variables, one.environments, one.runners, one.rulesets),
        numbers(one.environments, one.deploy_keys, one.hooks, one.runners, one.protections, one.rulesets),
        hosts(one.hooks),
        (key.title for key in one.deploy_keys),
        (rule.pattern for rule in one.protections),
        one.collaborators,
        (alert.display_name for alert in one.alerts),
        REPOSITORY_SETTINGS,
        *inside,
    )


def organization_names(one: Organization) -> set[str]:
    """Return every name and number by which a record of the organization can be called."""
    return set().union(
        names(one.secrets, one.variables, one.tokens, one.runner_groups, one.rulesets),
        numbers(one.installations, one.hooks, one.rulesets, one.runner_groups),
        hosts(one.hooks),
        (str(token.token_id) for token in one.tokens),
        (authorization.title or "" for authorization in one.authorizations),
        (app.slug for app in one.installations),
        ORGANIZATION_SETTINGS,
    )


def found(fact: dict[str, Any], organization: Organization) -> bool:
    owner, _, name = fact["account"].partition("/")
    repository = organization.repositories.named(name)
    if not name:
        assert owner == GITHUB_ORG
        known = organization_names(organization)
    else:
        if repository is None:
            return False
        known = repository_names(repository)
        address = fact.get("address", "").removeprefix(f"{fact['account']}/")
        if fact["table"] in {"identities", "secrets"} and "/" in fact.get("address", ""):
            text = repository.files.get(address)
            return text is not None and fact.get("name", "") in text
        if fact["table"] == "grants":
            return address in known
    return all(fact[key] in known for key in ("name", "number") if key in fact)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact["id"])
def test_a_fact_is_there_on_its_nights_and_on_no_other(fact: dict[str, Any]) -> None:
    assert fact["table"] in TABLES
    if fact["account"].isdigit():
        assert fact["table"] == "trusts"
        return
    nights = [night for night, organization in NIGHTS.items() if found(fact, organization)]
    if fact["rule"] == "webhook-insecure" and "nights" in fact:
        insecure = [n for n, one in NIGHTS.items() if any(hook.insecure_ssl for hook in one.hooks)]
        assert fact["nights"] == insecure
        return
    assert nights == fact.get("nights", [1, 2])


def test_ids_are_unique_and_changes_name_facts_of_one_night() -> None:
    ids = [fact["id"] for fact in FACTS]
    assert len(ids) == len(set(ids))
    status = {1: "resolved", 2: "new"}
    changed = {fact["id"]: status[fact["nights"][0]] for fact in SECTION["planted"] if "nights" in fact}
    assert {change["id"]: change["status"] for change in SECTION["changes"]} == changed


def test_most_rules_have_a_planted_fact_and_a_look_alike() -> None:
    planted = {fact["rule"] for fact in SECTION["planted"]}
    beside = {fact["rule"] for fact in SECTION["look_alikes"]}
    # One workload is delivered with too much power, and every other one is not comparable by this rule alone; there is one
    # organization.
    assert planted - beside == {"pipeline-excess-access", "two-factor-not-required"}
    assert beside - planted == {"base-permission-write"}


def test_the_repositories_are_those_of_the_company() -> None:
    organization = NIGHTS[1]
    for one in REPOSITORIES:
        repository = organization.repositories.named(one.name)
        assert repository is not None
        assert (repository.id, repository.archived) == (one.id, one.archived)
        text = "\n".join(repository.files.values())
        google = not one.account.isdigit()
        if one.login == "oidc" and one.role is not None:
            account = f"{one.role}@{one.account}.iam.gserviceaccount.com"
            assert (account if google else f"arn:aws:iam::{one.account}:role/{one.role}") in text
            assert "id-token: write" in text or "write-all" in text
        if one.login == "static":
            assert f"{'credentials_json' if google else 'aws-secret-access-key'}: ${{{{ secrets." in text
        if one.environment is not None:
            assert f"environment: {one.environment}" in text
            assert one.environment in {environment.name for environment in repository.environments}
        if one.workload is not None:
            for word in one.workload.partition(":")[2].split("/"):
                assert word in text
    ids = [repository.id for repository in organization.repositories]
    assert ids == sorted(set(ids))


WORKFLOW_SCHEMA = json.loads(
    (files("check_jsonschema") / "builtin_schemas/vendor/github-workflows.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (f"{one.name}/{path}", text)
        for one in (*NIGHTS[2].repositories, *build_large(20).repositories)
        for path, text in one.files.items()
        if path.startswith(".github/workflows/")
    ],
)
def test_workflows_are_what_github_runs(name: str, text: str) -> None:
    # PyYAML reads the key ``on`` as YAML 1.1 does.
    document = {"on" if key is True else key: value for key, value in yaml.safe_load(text).items()}
    errors = [error.message[:200] for error in Draft7Validator(WORKFLOW_SCHEMA).iter_errors(document)]
    assert not errors, name


def test_secret_values_are_written_nowhere_in_this_repository() -> None:
    folder = Path(__file__).parents[1] / "sandbox"
    sources = [
        path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.suffix in {".py", ".yml", ".yaml"}
    ]
    for value in SECRET_VALUES:
        assert not any(value in source for source in sources)
