"""Revoking a permission resolves nothing: night 1 sees everything, night 2 the same data with one permission less.

Each night is collected by the real collectors over HTTP and analyzed by the rules that found something on night 1.
"""

from __future__ import annotations

import json
import shutil
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.aws.estate import build
from sandbox.aws.server import AwsSandbox
from sandbox.estate import FIRST_NIGHT, GITHUB_ORG, GITLAB_GROUP, PROD, REGION
from sandbox.github.server import GitHubSandbox
from sandbox.gitlab import GitLabSandbox
from sandbox.gitlab.instance import DEVELOPER, GUEST, MAINTAINER, REPORTER
from scanner.analyze.rule_files import load_rules
from scanner.analyze.steps import AnalyzeSettings, analyze
from scanner.collect.run import NothingCollectedError, collect_snapshot
from scanner.command.progress import LogProgress
from scanner.config_file import load
from scanner.ledger import Ledger
from scanner.night import open_night
from scanner.snapshot import is_sealed, run_id_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

LATER = FIRST_NIGHT + timedelta(hours=1)
"""The second night, shortly after the first, so that no age threshold is crossed."""
GITHUB_KEY = "TEST_ALL_CLEAR_GITHUB_KEY"
GITLAB_TOKEN = "TEST_ALL_CLEAR_GITLAB_TOKEN"


TELLS = "account-not-read "
"""The rule whose findings tell what could not be read."""


class Estate:
    """A state folder with one analyzed night, and the findings that it has open."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.before: dict[str, str] = {}
        self.silent: list[str] = []

    def first(self, section: dict[str, Any]) -> None:
        self._night(self.state, section, FIRST_NIGHT)
        self.before = _statuses(self.state, FIRST_NIGHT)
        found = {line.split(" ", 1)[0] for line in self.before}
        self.silent = [rule.id for rule in load_rules() if rule.id not in found]

    def second(self, section: dict[str, Any], folder: Path) -> dict[str, str]:
        """Analyze a later night in a copy of the state; returns what became of the findings of the first."""
        copy = folder / "state"
        shutil.copytree(self.state, copy)
        try:
            self._night(copy, section, LATER)
        except NothingCollectedError:
            # No night at all: every finding is as it was, and none was looked at.
            assert not is_sealed(copy / "snapshots" / run_id_of(LATER))
            return dict.fromkeys(self.before, "unobserved")
        after = _statuses(copy, LATER)
        found = {finding: status for finding, status in after.items() if not finding.startswith(TELLS)}
        return found | {finding: after.get(finding, "absent") for finding in self.before}

    def _night(self, state: Path, section: dict[str, Any], as_of: datetime) -> None:
        config = state.parent / f"{state.name}.yaml"
        config.write_text(json.dumps({"state": str(state), "collectors": section}), encoding="utf-8")
        manifest = collect_snapshot(
            load(config).settings,
            ledger=Ledger(state),
            digest="",
            as_of=as_of,
            stopping=threading.Event(),
            progress=LogProgress(),
        )
        analyze(state, manifest.run_id, settings=AnalyzeSettings(disabled=self.silent))


def _statuses(state: Path, as_of: datetime) -> dict[str, str]:
    with open_night(state, run_id_of(as_of)) as night:
        return dict(night.rows("SELECT rule || ' ' || subject, status FROM findings"))


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AwsSandbox, Estate, dict[str, Any]]]:
    with AwsSandbox(as_of=FIRST_NIGHT) as sandbox, pytest.MonkeyPatch.context() as patch:
        build(sandbox, 1)
        signed = {name.upper(): value for name, value in sandbox.credentials(PROD).items()}
        for name, value in {**sandbox.environment(), **signed}.items():
            patch.setenv(name, value)
        section = {"aws": {"regions": [REGION], "endpoint_url": sandbox.url, "max_attempts": 1}}
        estate = Estate(tmp_path_factory.mktemp("aws") / "state")
        estate.first(section)
        yield sandbox, estate, section


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    estate = Estate(tmp_path_factory.mktemp("github") / "state")
    with GitHubSandbox(night=1) as sandbox, pytest.MonkeyPatch.context() as patch:
        estate.first(_github(sandbox, patch))
    return estate


def _github(sandbox: GitHubSandbox, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    patch.setenv(GITHUB_KEY, sandbox.app.private_key)
    return {
        "github": {
            "organizations": [GITHUB_ORG],
            "base_url": sandbox.url,
            "app": {
                "app_id": sandbox.app.app_id,
                "installation_id": sandbox.app.installation_id,
                "private_key": f"${{env:{GITHUB_KEY}}}",
            },
            "seconds_between_requests": 0,
            "throttled_wait_seconds": 0.01,
            "retries": 1,
        }
    }


@pytest.fixture(scope="module")
def gitlab(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    estate = Estate(tmp_path_factory.mktemp("gitlab") / "state")
    with GitLabSandbox() as sandbox, pytest.MonkeyPatch.context() as patch:
        estate.first(_gitlab(sandbox, patch, sandbox.owner_token))
    return estate


def _gitlab(sandbox: GitLabSandbox, patch: pytest.MonkeyPatch, token: str, **options: Any) -> dict[str, Any]:
    patch.setenv(GITLAB_TOKEN, token)
    return {
        "gitlab": {
            "groups": [GITLAB_GROUP],
            "base_url": sandbox.url,
            "token": f"${{env:{GITLAB_TOKEN}}}",
            "retries": 1,
            **options,
        }
    }


def _cleared(became: dict[str, str]) -> dict[str, str]:
    return {finding: status for finding, status in became.items() if status not in ("open", "unobserved")}


def _nothing_is_resolved(became: dict[str, str], doubted: dict[str, str]) -> None:
    """Check that no finding is resolved, and that each rule that a loss concerns has findings that nobody looked at.

    The losses of one night concern different listings, so that what one hides is not what another resolves; each alone
    is a case of ``make faults``.
    """
    assert not _cleared(became)
    unobserved = {finding.split(" ", 1)[0] for finding, status in became.items() if status == "unobserved"}
    assert set(doubted.values()) <= unobserved


def _first(lost: dict[str, str]) -> str:
    return next(iter(lost))


@pytest.mark.parametrize(
    "denied",
    [
        {"iam:GetAccountAuthorizationDetails": "trust-open"},
        {
            "iam:GetCredentialReport": "identity-unused",
            "iam:ListServiceSpecificCredentials": "service-credential-without-expiry",
            "ecr:DescribeRepositories": "artifact-mutable-tag",
            "eks:ListPodIdentityAssociations": "aws-pod-identity-role-unused",
        },
        {
            "iam:GetAccountSummary": "aws-root-used",
            "lambda:ListFunctions": "secret-in-environment",
            "s3:GetBucketPolicy": "public-resource-policy",
            "secretsmanager:ListSecrets": "stored-secret-not-rotated",
        },
        {"lambda:GetPolicy": "public-resource-policy", "ssm:DescribeParameters": "aws-parameter-unencrypted"},
    ],
    ids=_first,
)
def test_actions_that_are_denied_resolve_nothing(
    aws: tuple[AwsSandbox, Estate, dict[str, Any]], tmp_path: Path, denied: dict[str, str]
) -> None:
    sandbox, estate, section = aws
    sandbox.deny = {PROD: set(denied)}
    _nothing_is_resolved(estate.second(section, tmp_path), denied)


@pytest.mark.parametrize(
    "revoked",
    [
        {"members": "outside-collaborator-admin", "contents": "workflow-untrusted-checkout"},
        {"administration": "deploy-key-write", "secrets": "pipeline-secret-not-rotated"},
        {
            "organization_personal_access_tokens": "token-without-expiry",
            "actions": "environment-without-approval",
        },
    ],
    ids=_first,
)
def test_permissions_that_are_revoked_resolve_nothing(
    github: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revoked: dict[str, str]
) -> None:
    with GitHubSandbox(night=1) as sandbox:
        for permission in revoked:
            sandbox.revoke(permission)
        _nothing_is_resolved(github.second(_github(sandbox, monkeypatch), tmp_path), revoked)


@pytest.mark.parametrize(
    "denied",
    [
        {"/groups/:id": "human-standing-admin"},
        {"/groups/:id/projects": "gitlab-job-token-open"},
        {
            "/groups/:id/access_tokens": "automation-admin",
            "/groups/:id/deploy_tokens": "token-without-expiry",
            "/groups/:id/hooks": "identity-without-owner",
            "/groups/:id/members": "human-standing-admin",
            "/groups/:id/variables": "gitlab-variable-unprotected",
            "/projects/:id/cluster_agents": "credential-unused",
            "/projects/:id/environments": "environment-without-approval",
        },
        {
            "/groups/:id/service_accounts": "token-without-expiry",
            "/projects/:id/cluster_agents/:agent_id/tokens": "credential-unused",
            "/projects/:id/integrations": "identity-without-owner",
            "/projects/:id/pipeline_schedules": "gitlab-schedule-orphan",
            "/projects/:id/protected_environments": "environment-without-approval",
            "/projects/:id/variables": "gitlab-variable-unprotected",
        },
        {
            "/projects/:id/access_tokens": "credential-never-used",
            "/projects/:id/deploy_keys": "deploy-key-write",
            "/projects/:id/deploy_tokens": "token-without-expiry",
            "/projects/:id/hooks": "webhook-insecure",
            "/projects/:id/job_token_scope": "gitlab-job-token-open",
            "/projects/:id/pipeline_schedules/:schedule_id": "variable-holds-secret",
            "/projects/:id/protected_branches": "branch-unprotected",
            "/projects/:id/repository/files/:file_path/raw": "unpinned-action-or-image",
            "/projects/:id/triggers": "credential-unused",
        },
    ],
    ids=_first,
)
def test_lists_of_gitlabs_that_are_denied_resolve_nothing(
    gitlab: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, denied: dict[str, str]
) -> None:
    """REST refuses them, and GraphQL shows what GitLab shows then: often an empty list, and no error."""
    with GitLabSandbox() as sandbox:
        sandbox.deny = set(denied)
        became = gitlab.second(_gitlab(sandbox, monkeypatch, sandbox.owner_token), tmp_path)
    _nothing_is_resolved(became, denied)


@pytest.mark.parametrize(
    ("role", "doubted"),
    [
        (MAINTAINER, "gitlab-variable-unprotected"),
        (DEVELOPER, "gitlab-runner-shared-untagged"),
        (REPORTER, "branch-unprotected"),
        (GUEST, "environment-without-approval"),
        (0, "human-standing-admin"),
    ],
)
def test_a_lesser_role_in_gitlab_resolves_nothing(
    gitlab: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: int, doubted: str
) -> None:
    with GitLabSandbox() as sandbox:
        token = sandbox.make_token("lesser", 101, role)
        became = gitlab.second(_gitlab(sandbox, monkeypatch, token), tmp_path)
    _nothing_is_resolved(became, {str(role): doubted})


def test_it_does_not_matter_how_gitlab_told_it(
    gitlab: Estate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with GitLabSandbox(without=frozenset({"projects"})) as sandbox:
        section = _gitlab(sandbox, monkeypatch, sandbox.owner_token)
        assert set(gitlab.second(section, tmp_path).values()) == {"open"}
    assert len(gitlab.before) > 50


def test_what_is_carried_forward_stays_open_and_what_is_denied_is_not_carried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate = Estate(tmp_path / "state")
    with GitLabSandbox() as sandbox:
        section = _gitlab(sandbox, monkeypatch, sandbox.owner_token, rotate_above=0)
        estate.first(section)
        sandbox.calls.clear()
        assert set(estate.second(section, tmp_path / "carried").values()) == {"open"}
        assert not sandbox.calls["GET /projects/:id/hooks"]
        sandbox.deny = {"/projects/:id/hooks"}
        became = estate.second(section, tmp_path / "denied")
    assert not _cleared(became)
    assert {status for finding, status in became.items() if finding.startswith("webhook-insecure ")} == {
        "unobserved"
    }


def test_the_same_night_again_leaves_everything_open(
    aws: tuple[AwsSandbox, Estate, dict[str, Any]], tmp_path: Path
) -> None:
    sandbox, estate, section = aws
    sandbox.deny = {}
    assert set(estate.second(section, tmp_path).values()) == {"open"}
    assert len(estate.before) > 30
