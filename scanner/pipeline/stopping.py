"""Tells a run to stop: SIGTERM, SIGINT and the deadline; see `scanner.stop`."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from scanner.stop import ENDING_SECONDS, LAST_SECONDS, Stop

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICK = 0.2


@contextlib.contextmanager
def stop_requests(deadline_minutes: float, *, exit_code: int | None = None) -> Iterator[Stop]:
    """Provide what SIGTERM, SIGINT or the deadline sets. Restores the signal handlers afterwards.

    With ``exit_code``, the process exits with it if it does not end by itself in time.
    """
    stop = Stop()
    done = threading.Event()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    is_main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGINT) if is_main else ()
    before = {number: signal.signal(number, lambda *_: stop.stopping.set()) for number in numbers}
    # The handlers run only when the main thread is back in Python. The pipe is written at once.
    woken = signal.set_wakeup_fd(writing, warn_on_full_buffer=False) if is_main else -1
    watch = threading.Thread(
        target=_watch, args=(stop, done, reading, deadline_minutes * 60, exit_code), daemon=True, name="stop"
    )
    watch.start()
    try:
        yield stop
    finally:
        done.set()
        if is_main:
            signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)
        watch.join()
        os.close(reading)


def _watch(stop: Stop, done: threading.Event, reading: int, seconds: float, exit_code: int | None) -> None:
    deadline = time.monotonic() + seconds
    since: float | None = None
    while not done.is_set():
        readable, _, _ = select.select([reading], [], [], _TICK)
        if readable and set(os.read(reading, 64)) & {signal.SIGTERM, signal.SIGINT}:
            stop.stopping.set()
        now = time.monotonic()
        if now >= deadline:
            stop.stopping.set()
        if not stop.stopping.is_set():
            continue
        since = now if since is None else since
        if now - since >= ENDING_SECONDS:
            stop.ending.set()
        if exit_code is not None and now - since >= LAST_SECONDS:
            sys.stderr.write(
                "the run did not end in time and was ended. `sprawlscan run` continues from here.\n"
            )
            sys.stderr.flush()
            os._exit(exit_code)
