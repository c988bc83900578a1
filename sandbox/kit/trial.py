"""A collector on trial: nights against a small sandbox on which things go wrong, and what each night has to say of it.

`Trial` runs the nights; the functions below it compare a night with one on which nothing went wrong, and return what is
wrong as lines of text. `sandbox.kit.contract` makes tests of them, `benchmarks.faults` a table.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.estate import FIRST_NIGHT
from sandbox.kit.provider import environment
from scanner.collect.collector import Run, TargetError
from scanner.kinds import KIND_COLUMN, declared_by
from scanner.records import TABLE_OF, Account, Coverage, Gap, Record
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sandbox.kit.api import HttpSandbox
    from sandbox.kit.elsewhere import Elsewhere
    from sandbox.kit.faults import Trouble
    from scanner.collect.collector import Collector
    from scanner.records import Reason

FINGERPRINT = Fingerprint(b"k" * 32)
HASTE: dict[str, Any] = {
    "largest_answer_mb": 1,
    "longest_wait_seconds": 0.5,
    "max_attempts": 1,
    "retries": 0,
    "seconds_between_requests": 0,
    "secondary_wait_seconds": 0.001,
    "throttled_wait_seconds": 0.001,
}
"""Options that make a collector give up at once; each is given to the collectors that have it."""
IMPATIENCE: dict[str, Any] = {"answer_seconds": 1, "timeout_seconds": 1}
"""Options that make it give up a slow answer: not in use where answers are slow because the machine is."""


REASONS: dict[Trouble, frozenset[Reason]] = {
    401: frozenset(("denied",)),
    403: frozenset(("denied",)),
    404: frozenset(("denied", "unsupported")),
    500: frozenset(("unreachable",)),
    "too-many": frozenset(("throttled",)),
    "too-many-bare": frozenset(("throttled",)),
    "html": frozenset(("denied", "malformed")),
    "html-502": frozenset(("unreachable",)),
    "closed": frozenset(("unreachable",)),
    "slow": frozenset(("unreachable",)),
    "cut": frozenset(("unreachable", "malformed")),
    "huge": frozenset(("truncated",)),
    "gzip-bomb": frozenset(("truncated", "malformed")),
    "short": frozenset(("truncated", "malformed")),
    "foreign-redirect": frozenset(("denied", "malformed", "unreachable")),
    # botocore takes what is no XML from S3 for a server's error.
    **dict.fromkeys(("deep", "malformed"), frozenset(("malformed", "unreachable"))),
    **dict.fromkeys(
        (
            "empty-body",
            "empty-object",
            "empty-list",
            "null",
            "looping-next",
            "foreign-next",
        ),
        frozenset(("malformed",)),
    ),
}
"""The reasons that a Gap may give after each fault. What a lost answer hides may be ``unsupported`` besides."""


class TrialNight(msgspec.Struct, frozen=True, kw_only=True):
    """What one night gave."""

    by_target: dict[str, list[Record]]
    """Everything, by the name of the target, in the order in which it came."""
    asked: dict[str, int]
    """Requests by route."""
    struck: dict[str, Trouble]
    """The faults that met a request, by route."""
    refused: str | None
    """What the collector said when it could not even list its targets."""
    seconds: float

    @property
    def records(self) -> list[Record]:
        return [record for records in self.by_target.values() for record in records]

    def of_tables(self) -> list[Record]:
        """Return the records that are neither Gap nor Coverage."""
        return [record for record in self.records if not isinstance(record, Gap | Coverage)]

    @property
    def gaps(self) -> list[Gap]:
        return [record for record in self.records if isinstance(record, Gap)]

    @property
    def covered(self) -> list[Coverage]:
        return [record for record in self.records if isinstance(record, Coverage)]


class Trial:
    """One collector, one sandbox. The sandbox is open while nights are run."""

    def __init__(self, collector: Collector, sandbox: HttpSandbox, elsewhere: Elsewhere) -> None:
        self.collector = collector
        self.sandbox = sandbox
        self.elsewhere = elsewhere
        sandbox.elsewhere = elsewhere.origin

    def config(self, **options: Any) -> Any:
        """Return the collector's configuration for this sandbox, with `HASTE` and those of ``options`` that it has."""
        known = self.collector.Config.model_fields
        given = {name: value for name, value in {**HASTE, **options}.items() if name in known}
        return self.collector.Config.model_validate({**self.sandbox.section(), **given})

    def night(
        self,
        faults: Mapping[str, Trouble] | None = None,
        *,
        times: int | None = None,
        cache: Path | None = None,
        stopped: bool = False,
        **options: Any,
    ) -> TrialNight:
        """Collect everything while the faults are switched on, each for one route, always or ``times`` times.

        Each night has a cache of its own unless one is given. When it is ``stopped``, the run is told to stop as soon as
        the targets are known. ``options`` are those of the collector's section. Raises what the collector raises, but
        for `TargetError`.
        """
        self.sandbox.heal()
        for route, kind in (faults or {}).items():
            self.sandbox.fail(route, kind, times)
        since = len(self.sandbox.log)
        begun = time.monotonic()
        by_target: dict[str, list[Record]] = {}
        refused = None
        with environment(self.sandbox.environment()), tempfile.TemporaryDirectory() as folder:
            config = self.config(**options)
            run = Run(
                as_of=FIRST_NIGHT,
                fingerprint=FINGERPRINT,
                cache=cache or Path(folder),
                stopping=threading.Event(),
            )
            try:
                targets = list(self.collector.targets(config, run))
                if stopped:
                    run.stopping.set()
                for target in targets:
                    by_target[target.name] = list(self.collector.collect(target, config, run))
            except TargetError as exc:
                refused = str(exc)
        self.sandbox.heal()
        seconds = time.monotonic() - begun
        log = self.sandbox.log[since:]
        return TrialNight(
            by_target=by_target,
            asked=dict(Counter(f"{call.name}" for call in log)),
            struck={call.name: call.fault for call in log if call.fault is not None},
            refused=refused,
            seconds=seconds,
        )

    @cached_property
    def whole(self) -> TrialNight:
        """A night on which nothing goes wrong."""
        return self.night()

    @cached_property
    def parts(self) -> dict[str, frozenset[str]]:
        """Names of parts of tables that the collector declares."""
        return declared_by(self.collector).parts

    @cached_property
    def denied(self) -> list[TrialNight]:
        """Nights that deny every route at once, then those that were not reached because of it, and so on.

        Every route that `whole` asked for is met by 403 in exactly one of them. Raises AssertionError when some route is
        never asked for again.
        """
        left = set(self.whole.asked)
        nights = []
        while left:
            night = self.night(dict.fromkeys(sorted(left), 403))
            met = left & set(night.struck)
            assert met, f"never asked for again: {sorted(left)}"
            nights.append(night)
            left -= met
        return nights

    @cached_property
    def layers(self) -> list[list[str]]:
        """Routes in layers: those of one layer do not depend on one another."""
        return [sorted(night.struck) for night in self.denied]


# What a night must hold to


def bugs(night: TrialNight) -> list[str]:
    """Return the gaps that call a bad answer a bug of ours."""
    return [f"{gap.call}: called a bug: {gap.detail}" for gap in night.gaps if gap.reason == "bug"]


def wrong_reasons(whole: TrialNight, night: TrialNight) -> list[str]:
    """Return the gaps that give a reason which none of the faults explains.

    Several routes may be read within one listing, and one of them is enough to lose it.
    """
    usual = {_listing(gap) for gap in whole.gaps}
    if not night.struck or not set(night.struck.values()) <= REASONS.keys():
        return []  # a fault after which anything may be said
    possible = {reason for kind in night.struck.values() for reason in REASONS[kind]} | {"unsupported"}
    return [
        f"{gap.call}: {gap.reason}: {gap.detail}"
        for gap in night.gaps
        if gap.reason not in possible and _listing(gap) not in usual
    ]


def contradictions(night: TrialNight) -> list[str]:
    """Return the listings that are called both complete and incomplete."""
    gaps = {_listing(gap) for gap in night.gaps}
    return sorted(
        f"{' '.join(map(str, _listing(row)))}: a Gap and a Coverage"
        for row in night.covered
        if _listing(row) in gaps
    )


def unexplained_losses(
    whole: TrialNight, night: TrialNight, parts: Mapping[str, frozenset[str]] | None = None
) -> list[str]:
    """Return the records and listings that are missing without a Gap that could explain it.

    A Gap explains what is missing from its table and kind, in its account and in the accounts below it; one for all
    tables, what is missing from its target. One of a part of a table (``parts``, as collectors declare them) explains
    any kind.
    """
    parts = parts or {}
    if night.refused:
        return []
    accounts = {row.id: row for row in whole.records if isinstance(row, Account)}
    there = {(type(row), row.id) for row in night.of_tables()}
    gaps = {
        (gap.table, None if gap.kind in parts.get(gap.table, ()) else gap.kind, gap.account_id)
        for gap in night.gaps
    }
    dark = {gap.target for gap in night.gaps if gap.table == "*"}
    # What is called complete, and by no gap incomplete, is explained by nothing else.
    complete = {(row.target, row.table, row.kind, row.account_id) for row in night.covered} - {
        (gap.target, gap.table, gap.kind, gap.account_id) for gap in night.gaps
    }

    def explained(target: str, table: str, kind: str | None, account_id: str | None) -> bool:
        if target in dark:
            return True
        if (
            kind is not None
            and (target, table, kind, account_id) in complete
            and (table, None, account_id) not in gaps
        ):
            return False
        place = account_id
        while place is not None:
            if gaps & {(table, None, place), (table, kind, place)}:
                return True
            if kind is None and any(gap[0] == table and gap[2] == place for gap in gaps):
                return True
            account = accounts.get(place)
            place = account.parent_id if account else None
            if account and (Account, account.id) not in there and (table, account_id) != ("accounts", place):
                # Where an account is not known to be there, nothing is known of what is in it.
                return explained(target, "accounts", account.kind, place)
        return False

    lost = [
        f"{TABLE_OF[type(row)]} {row.id}: missing without a Gap"
        for target, rows in whole.by_target.items()
        for row in rows
        if not isinstance(row, Gap | Coverage)
        and (type(row), row.id) not in there
        and not explained(target, TABLE_OF[type(row)], kind_of(row), row.account_id)
    ]
    spoken = {_listing(row) for row in night.covered} | {_listing(row) for row in night.gaps}
    silent = [
        f"{row.table} {row.kind} of {row.account_id} by {row.call}: neither Coverage nor Gap"
        for row in whole.covered
        if _listing(row) not in spoken and not explained(row.target, row.table, row.kind, row.account_id)
    ]
    return lost + silent


def needless_losses(
    whole: TrialNight, night: TrialNight, reported_as: Mapping[str, Collection[tuple[str, str | None, str]]]
) -> list[str]:
    """Return the listings that were lost although nothing that they rest on failed.

    A listing may be lost when its Gap names a route that met a fault, or one that was not even asked for tonight; or when
    it stands for such a route (``reported_as``: route -> table, kind and call).
    """
    failed = night.struck.keys() | (whole.asked.keys() - night.asked.keys())
    instead = {listed for route in failed for listed in reported_as.get(route, ())}
    dark = {gap.target for gap in night.gaps if gap.table == "*"}
    covered = {_listing(row) for row in whole.covered}
    return [
        f"{gap.table} {gap.kind} of {gap.account_id} by {gap.call}: lost for no reason"
        for gap in night.gaps
        if _listing(gap) in covered
        and gap.target not in dark
        and (gap.table, gap.kind, gap.call) not in instead
        and not any(names_route(gap, route) for route in failed)
    ]


def appeared(whole: TrialNight, night: TrialNight) -> list[str]:
    """Return the records that are there only because something else is not."""
    known = {(type(row), row.id) for row in whole.records}
    return [
        f"{table_and_kind(row)} {row.id}: not there on a whole night"
        for row in night.of_tables()
        if (type(row), row.id) not in known
    ]


def miscounted(night: TrialNight) -> list[str]:
    """Return the tables and kinds whose Coverage counts other records than came."""
    came: Counter[tuple[str, str | None]] = Counter()
    for kind, table, _ in {(kind_of(row), TABLE_OF[type(row)], row.id) for row in night.of_tables()}:
        came[table, kind] += 1
    told: Counter[tuple[str, str | None]] = Counter()
    by_call: Counter[tuple[str, str | None, str]] = Counter()
    for row in night.covered:
        kind = row.kind if row.table in KIND_COLUMN else None
        told[row.table, kind] += row.items
        by_call[row.table, kind, row.call] += row.items
    for table in {table for table, kind in told if kind is None and table in KIND_COLUMN}:
        # Counted for the whole table: for all kinds that are not counted on their own.
        for rest in [one for one in came if one[0] == table and one not in told]:
            came[table, None] += came.pop(rest)
    few = [
        f"{table} {kind or ''}: {came[table, kind]} came, {told[table, kind]} are counted"
        for table, kind in sorted(came.keys() | told.keys(), key=str)
        if came[table, kind] > told[table, kind]
    ]
    # Several listings may tell of the same record, but none of more than there are.
    many = [
        f"{table} {kind or ''}: {came[table, kind]} came, {count} are counted by {call}"
        for (table, kind, call), count in sorted(by_call.items(), key=str)
        if count > came[table, kind]
    ]
    return few + many


def kind_of(row: Record) -> str | None:
    """Return the kind of a record; None for tables without kinds."""
    column = KIND_COLUMN.get(TABLE_OF[type(row)])
    kind: str | None = getattr(row, column) if column else None
    return kind


def table_and_kind(row: Record) -> str:
    """Return ``credentials/access-key``, or the table alone where it has no kinds."""
    kind = kind_of(row)
    return TABLE_OF[type(row)] + (f"/{kind}" if kind else "")


def names_route(gap: Gap, route: str) -> bool:
    """Tell whether a Gap speaks of a route: by its call, by what it needs, or in its detail."""
    return route in gap.call or any(route in (text or "") for text in (gap.needs, gap.detail))


def _listing(row: Gap | Coverage) -> tuple[str | None, ...]:
    return (row.target, row.account_id, row.table, row.kind, row.call, row.region)


def sorted_bytes(records: Iterable[Record]) -> list[bytes]:
    """Return the records as bytes, in an order of their own: what two nights are compared by."""
    return sorted(msgspec.msgpack.encode((TABLE_OF[type(row)], row)) for row in records)
