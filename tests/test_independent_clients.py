"""The collectors list what python-gitlab and PyGithub list: two clients with their own paths, pages and parsing.

They read the same sandbox, so this also shows that the sandboxes answer clients other than ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import github
import gitlab

from sandbox import github as github_sandbox
from sandbox.gitlab import GitLabSandbox
from scanner.records import Account, Credential, Identity, Secret
from tests import github_night, gitlab_night, nights

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest

    from scanner.records import Record


def native_ids(records: Iterable[Record], account: str, kind: str) -> set[str]:
    """Return the last part of the ids of an account's credentials and identities of one kind."""
    return {
        row.id.rpartition(":")[2].rpartition("/")[2]
        for row in records
        if isinstance(row, Credential | Identity) and row.account_id == account and row.kind == kind
    }


def test_python_gitlab_lists_the_same_projects_keys_tokens_and_webhooks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitLabSandbox() as sandbox:
        records = gitlab_night.collected(
            gitlab_night.config(sandbox, monkeypatch, archived=True), nights.run(tmp_path)
        )
        client = gitlab.Gitlab(sandbox.url, private_token=sandbox.token)
        group = client.groups.get("lantern")
        projects = [
            client.projects.get(project.id)
            for project in group.projects.list(get_all=True, include_subgroups=True)
        ]
        listed = [row for row in records if isinstance(row, Account) and row.kind == "gitlab-project"]
        assert {row.address for row in listed} == {project.path_with_namespace for project in projects}
        found = 0
        for project in projects:
            account = f"gitlab:project:{project.id}"
            lists: dict[str, Any] = {
                "deploy-key": project.keys,
                "deploy-token": project.deploytokens,
                "trigger-token": project.triggers,
                "gitlab-webhook": project.hooks,
            }
            for kind, manager in lists.items():
                theirs = {str(item.id) for item in manager.list(get_all=True)}
                assert native_ids(records, account, kind) == theirs, (project.path_with_namespace, kind)
                found += len(theirs)
        assert found > 5


def test_pygithub_lists_the_same_repositories_keys_hooks_and_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with github_sandbox.open_sandbox("company") as sandbox:
        config = github_night.config(sandbox, monkeypatch)
        records = github_night.collected(config, nights.run(tmp_path))
        client = github.Github(
            auth=github.Auth.Token(sandbox.token), base_url=sandbox.url, seconds_between_requests=0
        )
        organization = client.get_organization(sandbox.organization.login)
        repositories = list(organization.get_repos())
        listed = [row for row in records if isinstance(row, Account) and row.kind == "github-repository"]
        assert {row.address for row in listed} == {repository.full_name for repository in repositories}
        keys = hooks = secrets = 0
        for repository in repositories:
            account = f"github:repo:{repository.id}"
            theirs = {str(key.id) for key in repository.get_keys()}
            assert native_ids(records, account, "deploy-key") == theirs, repository.full_name
            keys += len(theirs)
            receivers = {str(hook.id) for hook in repository.get_hooks()}
            assert native_ids(records, account, "github-webhook") == receivers, repository.full_name
            hooks += len(receivers)
            if not repository.archived:
                names = {secret.name for secret in repository.get_secrets()}
                ours = {
                    row.name
                    for row in records
                    if isinstance(row, Secret)
                    and row.account_id == account
                    and row.store == "github-actions"
                    and row.environment is None
                }
                assert ours == names, repository.full_name
                secrets += len(names)
        assert keys
        assert hooks
        assert secrets
