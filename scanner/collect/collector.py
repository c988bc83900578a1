"""What a collector is. Read this before you write one.

A collector is a module ``collectors.<name>``, or the entry point ``<name>`` in the group ``sprawlscan.collectors``, with
these names::

    Config                                   a `scanner.config.Section`: its part of config.yaml
    KINDS                                    the kinds of its records, by table; see `scanner.kinds`
    targets(config, run) -> Iterator[Target]     independent units of work
    collect(target, config, run) -> Iterator[Record]
    PARTS                                    optional: parts of tables, by table; see `scanner.kinds`
    after                                    optional: tables of tonight that it reads; see `scanner.collect.tonight`

Inside, one generator a listing, each wrapped in `scanner.collect.listings.with_coverage`, the one place that catches a broad
exception.
"""

from __future__ import annotations

import threading  # noqa: TC003  msgspec reads the annotations at run time
from datetime import datetime  # noqa: TC003
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from scanner.collect.tonight import Tonight  # noqa: TC001
from scanner.kinds import DeclaresKinds
from scanner.secrets.detectors import Fingerprint  # noqa: TC001  msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.records import Record


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An independent unit of work: one account, one organization, one folder. Carries no credential."""

    collector: str
    """The collector's module name."""
    name: str
    """Unique in its collector, and stable over nights: ``123456789012``, ``acme``."""
    account_id: str
    """The `Account.id` that it covers."""
    section: int = 0
    """Which of the collector's sections in config.yaml it came from, when there are several."""
    params: dict[str, str] = {}
    """What the collector needs besides to find it again."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one night gives every collector. Nothing else below the command line reads the clock."""

    as_of: datetime
    """The night's time, aware UTC."""
    fingerprint: Fingerprint
    """Keyed fingerprint of a secret value; see `scanner.secrets.detectors`."""
    cache: Path
    """A folder for ETags and slow listings; may be empty, may be deleted at any time."""
    stopping: threading.Event
    """Set when the deadline has passed or the process was told to stop."""
    tonight: Tonight | None = None
    """What the first wave left of the tables in ``after``; None for a collector that declares none."""


class TargetError(Exception):
    """A collector cannot even list its targets. The message says what, why, and what to do."""


class Collector(DeclaresKinds, Protocol):
    """The shape of a collector module."""

    Config: type[Any]

    def targets(self, config: Any, run: Run) -> Iterator[Target]: ...  # noqa: D102

    def collect(self, target: Target, config: Any, run: Run) -> Iterator[Record]: ...  # noqa: D102
