"""What the tests of the GitLab collector share: a night against the sandbox."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import collectors.gitlab
from collectors.gitlab.client import GitLabClient
from scanner.collect.collector import Run
from scanner.kinds import declared_by
from scanner.records import Gap
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from collectors.gitlab import Config
    from sandbox.gitlab import GitLabSandbox
    from scanner.records import Record

NIGHT = datetime(2026, 11, 22, 2, tzinfo=UTC)


def run(cache: Path, nights_later: int = 0) -> Run:
    return Run(
        as_of=NIGHT + timedelta(days=nights_later),
        fingerprint=Fingerprint(b"k" * 32),
        cache=cache,
        stopping=threading.Event(),
    )


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
    """Everything that a night gives; a bug fails the test."""
    records = [
        record
        for target in collectors.gitlab.targets(settings, night)
        for record in collectors.gitlab.collect(target, settings, night)
    ]
    undeclared = declared_by(collectors.gitlab).undeclared(records)
    assert not undeclared, undeclared
    bugs = [row.detail for row in records if isinstance(row, Gap) and row.reason == "bug"]
    assert not bugs, bugs[0]
    return records


def client(
    sandbox: GitLabSandbox, monkeypatch: pytest.MonkeyPatch, cache: Path, **options: Any
) -> GitLabClient:
    return GitLabClient(config(sandbox, monkeypatch, **options), run(cache))
