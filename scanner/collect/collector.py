"""The interface of a collector. Read this before you write one.

A collector is a module ``collectors.<name>``, or the entry point ``<name>`` in the group ``sprawlscan.collectors``, with
these names::

    Config                                   a `scanner.config.Section`: its part of config.yaml
    KINDS                                    the kinds of its records, by table; see `scanner.kinds`
    targets(config, run) -> Iterator[Target]     independent units of work
    collect(target, config, run) -> Iterator[Record]
    PARTS                                    optional: parts of tables, by table; see `scanner.kinds`
    problems(config) -> Iterable[tuple[str, str]]
                                             optional: what of a section cannot work, found without a request: a key of
                                             the section (``app.private_key``), and what is wrong with it
    after                                    optional: tables of tonight that it reads; see `scanner.collect.tonight`
    evaluate(policies, records, as_of) -> Iterator[Record]
                                             optional: what `Policy` rows come to; pure, without an SDK or the network

``evaluate`` yields the grants, trusts and ``can_become`` links that follow from the policies and the other records of a
snapshot: for a night's own records what the night yielded, for changed policies what would be.

Each listing is one generator, wrapped in `scanner.collect.listings.with_coverage`, the only place that catches a broad
exception.
"""

from __future__ import annotations

import threading  # noqa: TC003  msgspec reads the annotations at run time
from datetime import datetime  # noqa: TC003
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from scanner.collect.night_order import SourceClock
from scanner.collect.tonight import Tonight  # noqa: TC001
from scanner.plugins import CollectorModule, load_collector
from scanner.secrets.detectors import Fingerprint  # noqa: TC001  msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.records import Record


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An independent unit of work: one account, one organization, one folder. Contains no credential."""

    collector: str
    """The collector's module name."""
    name: str
    """Unique within its collector and stable across nights: ``123456789012``, ``acme``."""
    account_id: str
    """The `Account.id` it covers."""
    section: int = 0
    """The index of its section in config.yaml, if the collector has several."""
    params: dict[str, str] = {}
    """Additional data that the collector needs to find it again."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The context of one night, passed to every collector. Nothing else below the command line reads the clock."""

    as_of: datetime
    """The time of the run, aware UTC."""
    fingerprint: Fingerprint
    """Keyed fingerprint of a secret value; see `scanner.secrets.detectors`."""
    cache: Path
    """A folder for ETags and slow listings; may be empty, may be deleted at any time."""
    stopping: threading.Event
    """Set when the deadline has passed or the process was asked to stop."""
    clock: SourceClock = msgspec.field(default_factory=SourceClock)
    """Compares this machine's clock with the sources'."""
    tonight: Tonight | None = None
    """Records of the first wave for the tables in ``after``; None for a collector without ``after``."""


class TargetError(Exception):
    """A collector cannot list its targets. The message says what failed, why, and what to do."""


class Collector(CollectorModule, Protocol):
    """The interface of a collector module."""

    def targets(self, config: Any, run: Run) -> Iterator[Target]: ...  # noqa: D102

    def collect(self, target: Target, config: Any, run: Run) -> Iterator[Record]: ...  # noqa: D102


def collector_of(name: str) -> Collector:
    """Import the collector ``name``. Raises LookupError if there is none."""
    module: Any = load_collector(name)
    return module  # type: ignore[no-any-return]
