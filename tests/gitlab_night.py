"""What the tests of the GitLab collector share: a night against the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import collectors.gitlab
from collectors.gitlab.client import GitLabClient
from tests.nights import collected_by, run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from collectors.gitlab import Config
    from sandbox.gitlab import GitLabSandbox
    from scanner.collect.collector import Run
    from scanner.records import Record


def config(sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Config:
    """A configuration with the sandbox's administrator token, and no waiting."""
    monkeypatch.setenv("TEST_GITLAB_TOKEN", options.pop("token", sandbox.token))
    return collectors.gitlab.Config.model_validate(
        {
            "token": "${env:TEST_GITLAB_TOKEN}",
            "groups": ["lantern"],
            "base_url": sandbox.url,
            "oidc_issuer": "https://gitlab.com",
            "retries": 0,
            "timeout_seconds": 5,
            "throttled_wait_seconds": 0.05,
            **options,
        }
    )


def collected(settings: Config, night: Run) -> list[Record]:
    """Everything that a night yields; a bug fails the test."""
    return collected_by(collectors.gitlab, settings, night)


def client(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, cache: Path, **options: Any
) -> GitLabClient:
    return GitLabClient(config(sandbox, monkeypatch, **options), run(cache))
