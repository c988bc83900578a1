"""Collects from the AWS sandbox as a night does: the real collector, real clients, over HTTP."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import msgspec

import collectors.aws as aws
from scanner.collect.collector import Run, Target
from scanner.kinds import declared_by
from scanner.records import TABLE_OF, Coverage, Gap
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from sandbox.aws.server import AwsSandbox
    from scanner.records import Record


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """Records by target name."""

    by_target: dict[str, list[Record]]

    def all(self) -> Iterator[Record]:
        for records in self.by_target.values():
            yield from records

    def of(self, kind: type[Record], target: str | None = None) -> list[Any]:
        found = self.by_target[target] if target else list(self.all())
        return [record for record in found if isinstance(record, kind)]

    def gaps(self, target: str | None = None) -> list[Gap]:
        return self.of(Gap, target)

    def address(self, address: str) -> Any:
        """Return the one identity with this address."""
        found = [record for record in self.all() if getattr(record, "address", None) == address]
        assert len(found) == 1, (address, found)
        return found[0]


def sign_in(monkeypatch: pytest.MonkeyPatch, sandbox: AwsSandbox) -> None:
    """Set the scanner's environment, without the machine's own credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)


def config_of(sandbox: AwsSandbox, **more: Any) -> aws.Config:
    return aws.Config.model_validate({**sandbox.section(), "max_attempts": 1, **more})


def run_of(sandbox: AwsSandbox, cache: Path) -> Run:
    return Run(
        as_of=sandbox.as_of,
        fingerprint=Fingerprint(b"a key of the tests"),
        cache=cache,
        stopping=threading.Event(),
    )


def collect(sandbox: AwsSandbox, cache: Path, *only: str, run: Run | None = None, **more: Any) -> Night:
    """Collect every target, or those that are named."""
    config, run = config_of(sandbox, **more), run or run_of(sandbox, cache)
    chosen: list[Target] = [t for t in aws.targets(config, run) if not only or t.name in only]
    night = Night(by_target={target.name: list(aws.collect(target, config, run)) for target in chosen})
    undeclared = declared_by(aws).undeclared(night.all())
    assert not undeclared, undeclared
    return night


def key_of(record: Gap | Coverage) -> tuple[str | None, ...]:
    """Return what makes a listing: its gap and its coverage share it."""
    return (record.account_id, record.table, record.kind, record.call, record.region)


def table_of(record: Record) -> str:
    return TABLE_OF[type(record)]
