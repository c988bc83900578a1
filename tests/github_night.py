"""What the tests of the GitHub collector share: a night against the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import collectors.github
from collectors.github.client import GitHubClient
from collectors.github.tokens import UserAuth
from scanner.records import Coverage, Gap, Record
from tests.nights import collected_by, run

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest

    from collectors.github.config import Config
    from sandbox.github.server import GitHubSandbox
    from scanner.collect.collector import Run

R = TypeVar("R", bound=Record)


def config(sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Config:
    """A configuration with the sandbox's classic token, and no waiting."""
    monkeypatch.setenv("TEST_GITHUB_TOKEN", options.pop("token", sandbox.token))
    return collectors.github.Config.model_validate(
        {
            "token": "${env:TEST_GITHUB_TOKEN}",
            "organizations": [sandbox.organization.login],
            "base_url": sandbox.url,
            "seconds_between_requests": 0,
            "throttled_wait_seconds": 0.01,
            "retries": 1,
            **options,
        }
    )


def app_config(sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Config:
    """A configuration with the sandbox's App."""
    monkeypatch.setenv("TEST_GITHUB_KEY", sandbox.app.private_key)
    return collectors.github.Config.model_validate(
        {
            "app": {"app_id": sandbox.app.app_id, "private_key": "${env:TEST_GITHUB_KEY}"},
            "base_url": sandbox.url,
            "seconds_between_requests": 0,
            "throttled_wait_seconds": 0.01,
            "retries": 1,
            **options,
        }
    )


def collected(config: Config, night: Run) -> list[Record]:
    """Everything that a night yields; a bug fails the test."""
    return collected_by(collectors.github, config, night)


def of(records: Iterable[Record], kind: type[R]) -> list[R]:
    return [record for record in records if isinstance(record, kind)]


def gaps(records: Iterable[Record]) -> list[Gap]:
    return of(records, Gap)


def covered(records: Iterable[Record]) -> set[tuple[str, str, str | None]]:
    return {(row.account_id, row.table, row.kind) for row in of(records, Coverage)}


def client(
    sandbox: GitHubSandbox, monkeypatch: pytest.MonkeyPatch, cache: Path, **options: Any
) -> GitHubClient:
    section = config(sandbox, monkeypatch, **options)
    return GitHubClient(section, run(cache), auth=UserAuth(section))
