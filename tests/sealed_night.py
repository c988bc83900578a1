"""Sealed snapshots made of records written in a test, and analyzed nights read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from scanner.analyze.rule_files import load_rules
from scanner.analyze.steps import AnalysisSummary, AnalyzeSettings, analyze
from scanner.ledger import Ledger
from scanner.night import open_night
from scanner.records import Account, Coverage, Credential, Gap, Identity, Record
from scanner.secrets.detectors import Fingerprint
from scanner.snapshot import RunInfo, begin, run_id_of, seal
from scanner.target_writer import TargetWriter

if TYPE_CHECKING:
    from pathlib import Path

FIRST = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
ACCOUNT = "aws:account:1"
FINGERPRINT = Fingerprint(b"k" * 32)
RULES = (
    "credential-unused",
    "credential-never-used",
    "identity-without-owner",
    "automation-admin",
    "trust-open",
)


def on(night: int) -> datetime:
    """Return the time of a night, counted from 1."""
    return FIRST + timedelta(days=night - 1)


def run_of(night: int) -> str:
    """Return the run id of a night."""
    return run_id_of(on(night))


def account(number: int = 1, **more: Any) -> Account:
    """Return an account."""
    given: dict[str, Any] = {
        "kind": "aws-account",
        "native_id": str(number),
        "name": f"account-{number}",
        **more,
    }
    return Account(id=f"aws:account:{number}", provider="aws", account_id=f"aws:account:{number}", **given)


def role(name: str, **more: Any) -> Identity:
    """Return a role, its address an ARN."""
    given: dict[str, Any] = {
        "account_id": ACCOUNT,
        "surface": "automation",
        "address": f"arn:aws:iam::1:role/{name}",
        "owner": "platform",
        "owner_source": "tag:owner",
        **more,
    }
    return Identity(
        id=f"aws:iam-role:{name}", provider="aws", kind="iam-role", native_id=name, name=name, **given
    )


def key(name: str, *, unused_days: int | None = 100, **more: Any) -> Credential:
    """Return an access key made 60 days before the first night; unused for so many days then, None if unknown."""
    given: dict[str, Any] = {
        "account_id": ACCOUNT,
        "identity_id": "aws:iam-role:deploy",
        "lifetime": "expiring",
        "enabled": True,
        "created_at": FIRST - timedelta(days=60),
        "last_used_at": None if unused_days is None else FIRST - timedelta(days=unused_days),
        **more,
    }
    return Credential(
        id=f"aws:access-key:{name}", provider="aws", kind="access-key", native_id=name, name=name, **given
    )


def listed(table: str, *, call: str = "list", account_id: str = ACCOUNT, kind: str | None = None) -> Coverage:
    """Return the coverage of one complete listing."""
    return Coverage(
        id=f"aws:coverage:{account_id}-{table}-{kind}-{call}",
        provider="aws",
        account_id=account_id,
        collector="aws",
        target="1",
        table=table,
        kind=kind,
        call=call,
        items=1,
    )


def denied(table: str, *, call: str = "list", account_id: str = ACCOUNT, kind: str | None = None) -> Gap:
    """Return the gap of one listing that was refused."""
    return Gap(
        id=f"aws:gap:{account_id}-{table}-{kind}-{call}",
        provider="aws",
        account_id=account_id,
        collector="aws",
        target="1",
        table=table,
        kind=kind,
        call=call,
        reason="denied",
        detail="AccessDenied",
        needs="iam:ListAccessKeys",
    )


def everything(account_id: str = ACCOUNT, *, without: str = "") -> list[Record]:
    """Return complete coverage of the tables that most rules need, ``without`` one of them."""
    tables = ("accounts", "identities", "credentials", "secrets", "grants", "trusts", "links")
    return [listed(table, account_id=account_id) for table in tables if table != without]


def seal_night(state: Path, night: int, *targets: list[Record]) -> str:
    """Write and seal a snapshot with one file a target. Returns the run id."""
    folder = state / "snapshots" / run_of(night)
    info = RunInfo(run_id=run_of(night), as_of=on(night), tool_version="test", config_digest="")
    begin(folder, info)
    for number, records in enumerate(targets, 1):
        writer = TargetWriter(folder, "aws", str(number), ACCOUNT, fingerprint=FINGERPRINT)
        for record in records:
            writer.write(record)
        writer.finish(0.0)
    seal(folder, info, record=Ledger(state).sealing(info))
    return run_of(night)


@cache
def _others() -> list[str]:
    return [rule.id for rule in load_rules() if rule.id not in RULES and rule.category != "exception"]


def analyzed(
    state: Path,
    night: int,
    *targets: list[Record],
    disabled: tuple[str, ...] = (),
    enabled: tuple[str, ...] = (),
    **settings: Any,
) -> AnalysisSummary:
    """Seal a night and analyze it with the few built-in rules that these tests speak of, and those enabled."""
    # One thread: there is little to do, and another worker has the other core.
    given = AnalyzeSettings(
        disabled=[*(name for name in _others() if name not in enabled), *disabled], threads=1, **settings
    )
    return analyze(state, seal_night(state, night, *targets), settings=given)


def rows(state: Path, night: int, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query over an analyzed night."""
    with open_night(state, run_of(night)) as opened:
        return list(opened.rows(query))


def findings(state: Path, night: int, rule: str) -> dict[str, str]:
    """Return the status of a rule's findings by subject name, with the previous status where there was one."""
    query = f"""
        SELECT subject_name, status || coalesce(' after ' || previous_status, '') FROM findings
        WHERE rule = '{rule}' ORDER BY subject_name
    """
    return dict(rows(state, night, query))
