"""Refuses a night outside plausible time. Nights are compared in the order in which they were sealed.

The time of a night comes from the clock of this machine, which can be wrong: ahead, then set right, or set back. Two
witnesses are asked: the nights before, and the ``Date`` header (https://www.rfc-editor.org/rfc/rfc9110#name-date) of every
response of a source.

- The sources contradict the clock: nothing is sealed.
- The last night is dated later than this one, and the sources confirm the clock: that night was dated by a wrong clock.
  It is set aside: never compared with, and never the default.
- The same, and no source says anything, or the time was given with ``--as-of``: nothing is sealed, because a clock that was
  set back would make every age wrong. The message says what to do.
"""

from __future__ import annotations

import logging
import statistics
import threading
import time
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from scanner.ledger import Ledger, SetAside
from scanner.snapshot import is_sealed, run_id_of

if TYPE_CHECKING:
    from datetime import datetime

    from scanner.ledger import NightState

log = logging.getLogger(__name__)

TOLERATED_SECONDS = 3600.0
"""How far the clock may be from those of the sources."""

_KEPT = 100
"""Responses of a host whose date is remembered."""


class ImplausibleTimeError(Exception):
    """The time of this night cannot be right. Nothing was sealed. The message says what to do."""


class SourceClock:
    """How far this machine's clock is ahead of the clocks of the sources. Thread-safe.

    Each host is one witness, however often it answers: a server whose own clock is wrong cannot outvote the others.
    """

    def __init__(self) -> None:
        self._offsets: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def note(self, host: str, date: str | None) -> None:
        """Take in the ``Date`` header of a response, as every client of a source receives it."""
        if date is None:
            return
        try:
            offset = time.time() - parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError):
            return
        with self._lock:
            kept = self._offsets.setdefault(host.lower(), [])
            if len(kept) < _KEPT:
                kept.append(offset)

    def seconds_ahead(self) -> float | None:
        """Return the median over all hosts; None if no source gave a date.

        Of the two in the middle, the one that is nearer to this clock: two clocks that agree are rarely both wrong.
        """
        with self._lock:
            hosts = sorted(statistics.median(offsets) for offsets in self._offsets.values())
        if not hosts:
            return None
        return min(hosts[(len(hosts) - 1) // 2], hosts[len(hosts) // 2], key=abs)


def not_before(ledger: Ledger, as_of: datetime) -> list[NightState]:
    """Return the nights in force that are not dated before this time."""
    return [night for night in ledger.in_force() if night.as_of >= as_of]


def next_free(ledger: Ledger, as_of: datetime) -> datetime:
    """Return the time for a night that begins now: a second after the last one if it was sealed a moment ago.

    Runs that wait for each other, and small corrections of the clock, are nothing to refuse.
    """
    for night in not_before(ledger, as_of):
        if (night.as_of - as_of).total_seconds() < TOLERATED_SECONDS:
            as_of = night.as_of + timedelta(seconds=1)
    while is_sealed(ledger.state / "snapshots" / run_id_of(as_of)):
        as_of += timedelta(seconds=1)
    return as_of


def check_time(ledger: Ledger, as_of: datetime, clock: SourceClock, *, from_clock: bool) -> None:
    """Raise `ImplausibleTimeError` for a night outside plausible time; set earlier nights with a wrong date aside.

    ``from_clock``: ``as_of`` was read from the clock of this machine, and not given.
    """
    ahead = clock.seconds_ahead() if from_clock else None
    check_clock(as_of, ahead)
    later = not_before(ledger, as_of)
    if not later:
        return
    if ahead is None:
        raise ImplausibleTimeError(order_problem(later[-1], as_of))
    for night in later:
        why = f"dated {night.as_of:%Y-%m-%d %H:%M} UTC, after the night that was sealed after it, whose time the sources confirm"
        log.warning("a night has a wrong date and is set aside", extra={"run": night.run_id, "why": why})
        ledger.append(SetAside(run_id=night.run_id, why=why, at=as_of))


def check_clock(as_of: datetime, ahead: float | None) -> None:
    """Raise `ImplausibleTimeError` if the clock that gave ``as_of`` is too far ahead of or behind the sources' clocks.

    ``ahead`` is in seconds, None if nothing is known. A source may refuse every request because of such a clock, AWS from
    five minutes on (https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html): then the clock is
    the message, not the refusals.
    """
    if ahead is not None and abs(ahead) > TOLERATED_SECONDS:
        raise ImplausibleTimeError(
            f"the clock of this machine is {_span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} the clocks of the "
            f"sources: it says {as_of:%Y-%m-%d %H:%M} UTC. Set the clock and run again. Nothing was sealed."
        )


def order_problem(last: NightState, as_of: datetime) -> str:
    """Return the message for a night that is not dated after the last one."""
    return (
        f"this night, {as_of:%Y-%m-%d %H:%M:%S} UTC, is not dated after the last one, {last.run_id}. If the clock of this "
        f"machine is wrong, set it. If {last.run_id} has a wrong date, remove it with `sprawlscan discard {last.run_id}`. "
        "Nothing was sealed."
    )


def _span(seconds: float) -> str:
    return f"{seconds / 86400:.1f} days" if seconds >= 2 * 86400 else f"{seconds / 3600:.1f} hours"
