"""Figures of pipelines without stored secrets and of short-lived credentials: who is counted, and of whom nothing is known."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from scanner.records import Link, Record, Secret, Trust
from tests.sealed_night import ACCOUNT, account, analyzed, denied, everything, key, on, role, rows

if TYPE_CHECKING:
    from pathlib import Path

OTHER = "aws:account:2"


def pipeline(name: str, **more: Any) -> Record:
    return msgspec.structs.replace(role(name, **more), kind="github-workflow", is_pipeline=True)


def share(state: Path, name: str) -> tuple[float | None, ...]:
    """Return numerator, denominator, unknown and value of a figure."""
    query = "SELECT metric, numerator, denominator, unknown, value FROM metrics WHERE dimension = 'all'"
    return next(tuple(numbers) for metric, *numbers in rows(state, 1, query) if metric == name)


def stored(holder: str, **more: Any) -> Secret:
    return Secret(
        id=f"aws:codebuild-env:{holder}", provider="aws", account_id=ACCOUNT, store="codebuild-env", name="TOKEN",
        holder_id=f"aws:iam-role:{holder}", **more,
    )  # fmt: skip


PIPELINES = "pipelines_without_static_secrets"
SIGNING_IN = "automation_with_short_lived_credentials"


def test_pipelines_that_read_or_hold_a_stored_secret_are_reported_from_those_that_do_not(
    tmp_path: Path,
) -> None:
    night = [
        account(),
        account(2),
        *everything(),
        pipeline("clean"),
        pipeline("reads", secrets=["NPM_TOKEN"]),
        pipeline("holds"),
        stored("holds", looks_like="npm-token"),
        pipeline("plain-variable"),
        stored("plain-variable"),
        pipeline("off", enabled=False),
        role("no-pipeline"),
        pipeline("dark", account_id=OTHER),
        pipeline("dark-and-reads", account_id=OTHER, secrets=["NPM_TOKEN"]),
        denied("weaknesses", account_id=OTHER),
    ]
    analyzed(tmp_path, 1, night)
    assert share(tmp_path, PIPELINES) == (2, 5, 1, 2 / 5)


def test_identities_that_sign_in_with_what_lasts_are_reported_from_those_that_do_not(tmp_path: Path) -> None:
    def trusted(name: str) -> Trust:
        return Trust(
            id=f"aws:trust:{name}", provider="aws", account_id=ACCOUNT, identity_id=f"aws:iam-role:{name}", kind="oidc",
            issuer="https://issuer.example",
        )  # fmt: skip

    night = [
        account(),
        account(2),
        *everything(),
        role("federated"),
        trusted("federated"),
        role("keyed"),
        key("K", identity_id="aws:iam-role:keyed", lifetime="static"),
        role("expiring"),
        key("E", identity_id="aws:iam-role:expiring", expires_at=on(1) + timedelta(days=300)),
        role("was-keyed"),
        key("D", identity_id="aws:iam-role:was-keyed", lifetime="static", enabled=False),
        key("O", identity_id="aws:iam-role:was-keyed", expires_at=on(1) - timedelta(days=1)),
        role("function", surface="workload"),
        Link(
            id="l", provider="aws", account_id=ACCOUNT, source_id="aws:iam-role:function", relation="runs_as",
            target_id="aws:iam-role:federated",
        ),
        role("never-signs-in"),
        role("person", surface="human", issuer="https://issuer.example"),
        role("off", enabled=False, issuer="https://issuer.example"),
        role("dark", account_id=OTHER, issuer="https://issuer.example"),
        denied("credentials", account_id=OTHER),
    ]  # fmt: skip
    analyzed(tmp_path, 1, night)
    assert share(tmp_path, SIGNING_IN) == (2, 4, 1, 2 / 4)


def test_a_share_of_nothing_known_has_no_value(tmp_path: Path) -> None:
    analyzed(
        tmp_path,
        1,
        [account(), pipeline("dark", issuer="https://issuer.example"), denied("*", call="collect")],
    )
    assert share(tmp_path, PIPELINES) == (0, 0, 1, None)
    assert share(tmp_path, SIGNING_IN) == (0, 0, 1, None)


def test_what_a_provider_never_shows_of_one_kind_leaves_the_others_known(tmp_path: Path) -> None:
    blind = msgspec.structs.replace(denied("credentials", kind="oauth-app"), reason="unsupported")
    analyzed(
        tmp_path, 1, [account(), *everything(), role("federated", issuer="https://issuer.example"), blind]
    )
    assert share(tmp_path, SIGNING_IN) == (1, 1, 0, 1)
