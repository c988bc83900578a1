"""Kinds of records that the simulated company does not have: each from an organization that has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import collectors.github
from collectors.github.client import GitHubClient
from collectors.github.listings.organization import settings
from collectors.github.scope import OrganizationScope
from collectors.github.tokens import UserAuth
from sandbox.github.organization import (
    Actions,
    Authorization,
    GitHubRepository,
    Organization,
    Repositories,
    User,
)
from sandbox.github.server import GitHubSandbox
from scanner.collect.failures import SourceError
from scanner.collect.memory import Memory
from scanner.records import Control, Credential, Identity
from tests.github_night import collected, config, of
from tests.nights import NIGHT, run
from tests.sealed_night import FINGERPRINT

if TYPE_CHECKING:
    from pathlib import Path

OLD = datetime(2025, 1, 1, tzinfo=UTC)
ACTION = "name: Setup\nruns: {using: composite, steps: [{run: make, shell: bash}]}\n"
ORGANIZATION = Organization(
    id=1,
    login="acme",
    name="Acme",
    created_at=OLD,
    updated_at=OLD,
    repositories=Repositories.of(
        (
            GitHubRepository(
                id=11,
                name="actions",
                created_at=OLD,
                pushed_at=OLD,
                files={"action.yml": ACTION, ".github/workflows/a.yml": "on: push\njobs: {}\n"},
                actions=Actions(enabled=False),
            ),
        )
    ),
    users=(User(id=1, login="ada", created_at=OLD, role="admin"),),
    authorizations=(Authorization(id=7, login="ada", type="GitHub app token", authorized_at=OLD),),
)


def test_a_composite_action_an_app_token_and_disabled_actions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with GitHubSandbox(organization=ORGANIZATION) as sandbox:
        records = collected(config(sandbox, monkeypatch), run(tmp_path))
    (action,) = [row for row in of(records, Identity) if row.kind == "github-action"]
    assert (action.id, action.account_id) == ("github:action:11:action.yml", "github:repo:11")
    (token,) = [row for row in of(records, Credential) if row.kind == "app-token"]
    assert (token.identity_id, token.native_id, token.lifetime) == ("github:user:1", "500007", "static")
    (disabled,) = [row for row in of(records, Control) if row.kind == "actions-disabled"]
    assert (disabled.account_id, disabled.enforcement) == ("github:repo:11", "enforced")
    assert "allowed-actions" not in {
        row.kind for row in of(records, Control) if row.account_id == "github:repo:11"
    }


@pytest.mark.parametrize(("may", "enforcement"), [(True, "absent"), (False, "enforced")])
def test_what_members_may_change_by_themselves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, may: bool, enforcement: str
) -> None:
    """https://docs.github.com/en/rest/orgs/orgs#get-an-organization"""
    answer: dict[str, Any] = {
        "id": 1,
        "login": "acme",
        "members_can_change_repo_visibility": may,
        "members_can_invite_outside_collaborators": may,
        "members_can_create_public_repositories": may,
        "members_can_fork_private_repositories": may,
        "deploy_keys_enabled_for_repositories": may,
        "two_factor_requirement_enabled": not may,
        "default_repository_permission": "write" if may else "read",
    }
    with GitHubSandbox(organization=ORGANIZATION) as sandbox:
        options = config(sandbox, monkeypatch)
        scope = OrganizationScope(
            client=GitHubClient(options, run(tmp_path), auth=UserAuth(options)),
            run=run(tmp_path),
            target=next(collectors.github.targets(options, run(tmp_path))),
            config=options,
            memory=Memory(tmp_path, "github", "t", as_of=NIGHT, version="1", fingerprint=FINGERPRINT),
            login="acme",
            number=1,
            account_id="github:org:1",
        )
        found = {row.kind: row for row in settings(scope, answer)}
        with pytest.raises(SourceError, match="owners only"):
            list(settings(scope, {"id": 1, "login": "acme"}))
    assert {kind: row.enforcement for kind, row in found.items()} == dict.fromkeys(
        (
            "visibility-change",
            "outside-collaborator-invitation",
            "public-repository-creation",
            "private-fork-creation",
            "deploy-key-creation",
            "two-factor-requirement",
            "base-permission",
        ),
        enforcement,
    )
    assert msgspec.json.encode(found["visibility-change"])
