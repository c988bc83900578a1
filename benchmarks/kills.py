"""Kills a run at random moments, and checks that no state is damaged and no alert is lost: ``make kills``.

Each trial starts from the same state of one night. A workflow that gives a critical finding appears, a night begins and is
killed (SIGKILL) at a random moment of its duration, and another night runs to its end. In every second trial the workflow
is gone again by then, so that only the killed night could have seen it. A trial passes when

- the state is not damaged: `verify` has nothing to say, neither after the kill nor after the next night;
- the alert is not lost: if the killed night had sealed what it saw, or the workflow is still there, then the webhook was told
  of a new critical finding, a run ended with exit code 3, and the report of a night names it as new;
- whoever was told twice of one night was told with one id.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scanner.ledger import Ledger
from scanner.pipeline.outcome import Exit
from scanner.snapshot import SnapshotError
from scanner.verification import verify_state
from tests.checkout_nights import DANGEROUS, Checkout, run_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from scanner.config_file import Loaded

KILLED = -signal.SIGKILL


class Trial(NamedTuple):
    """One killed night and what came of it."""

    number: int
    at: float
    """When it was killed, as a share of the duration of a night."""
    reached: str
    """The last line of the ledger at that moment."""
    damaged: list[str]
    lost: list[str]


def run_trials(folder: Path, count: int, seed: int) -> list[Trial]:
    """Run the trials in a folder. The process must have no other threads: it forks."""
    chance = random.Random(seed)
    messages = folder / "messages.jsonl"
    listener, address = _listen(messages)
    os.environ["KILLS_WEBHOOK"] = address
    try:
        first = Checkout(folder / "first")
        _in_child(lambda: _night(first, 1))
        seconds = _duration(folder, first)
        trials = [
            _trial(first, messages, number, at=chance.uniform(0.0, 1.05), seconds=seconds)
            for number in range(count)
        ]
    finally:
        os.kill(listener, signal.SIGTERM)
        os.waitpid(listener, 0)
    return trials


def _listen(messages: Path) -> tuple[int, str]:
    """Start a process that keeps every message; return its id and its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with messages.open("ab") as file:
                file.write(body + b"\n")
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    messages.touch()
    server = HTTPServer(("127.0.0.1", 0), Handler)
    child = os.fork()
    if child == 0:
        server.serve_forever()
    server.server_close()
    return child, f"http://127.0.0.1:{server.server_port}/hook"


def _settings(place: Checkout) -> Loaded:
    return place.configure(
        notify={"webhook": "${env:KILLS_WEBHOOK}", "webhook_threshold": "critical"},
        fail_on="new:critical",
        max_unobserved=1,
    )


def _night(place: Checkout, number: int) -> int:
    return place.night(number, _settings(place)).exit_code


def _in_child(work: Callable[[], int], *, kill_after: float | None = None) -> int:
    """Run in a process of its own; return its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = int(Exit.INTERNAL)
        try:
            sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
            code = work()
        finally:
            os._exit(code)
    if kill_after is not None:
        ends = time.monotonic() + kill_after
        while time.monotonic() < ends:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _duration(folder: Path, first: Checkout) -> float:
    """Return how long a second night takes, in seconds."""
    place = _copy(first, folder / "measured")
    started = time.monotonic()
    _in_child(lambda: _night(place, 2))
    return time.monotonic() - started


def _copy(first: Checkout, folder: Path) -> Checkout:
    shutil.copytree(first.folder, folder)
    place = Checkout(folder)
    place.write("open", DANGEROUS)
    return place


def _problems(state: Path) -> list[str]:
    try:
        return verify_state(state).problems
    except SnapshotError as exc:
        return [str(exc)]


def _trial(first: Checkout, messages: Path, number: int, *, at: float, seconds: float) -> Trial:
    place = _copy(first, messages.with_name(f"trial-{number}"))
    heard = len(_messages(messages))
    codes = [_in_child(lambda: _night(place, 2), kill_after=at * seconds)]
    damaged = [f"after the kill: {problem}" for problem in _problems(place.state)]
    lines = [line for line, _ in Ledger(place.state).lines()]
    reached = f"{lines[-1].run_id} {type(lines[-1]).__name__}"
    sealed = run_of(2) in Ledger(place.state).nights()
    gone = number % 2 == 1
    if gone:
        (place.workflows / "open.yml").unlink()
    codes.append(_in_child(lambda: _night(place, 3)))
    damaged += [f"after the next night: {problem}" for problem in _problems(place.state)]
    lost = _lost(place, codes, _messages(messages)[heard:]) if sealed or not gone else []
    if codes[1] not in {Exit.OK, Exit.FINDINGS}:
        lost.append(f"the next night ended with {codes[1]}")
    shutil.rmtree(place.folder)
    return Trial(number, at, reached, damaged, lost)


def _messages(messages: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in messages.read_text().splitlines()]


def _lost(place: Checkout, codes: list[int], heard: list[dict[str, Any]]) -> list[str]:
    """Return by which ways nobody learned of the critical finding."""
    lost = []
    told = [message for message in heard if message.get("new", {}).get("critical")]
    if not told:
        lost.append("webhook")
    for run_id in {message["run_id"] for message in told}:
        ids = {message["id"] for message in told if message["run_id"] == run_id}
        if len(ids) > 1:
            lost.append(f"{run_id} was told with {len(ids)} ids")
    if Exit.FINDINGS not in codes:
        lost.append(f"exit code: {codes}")
    reports = [place.state / "reports" / run_of(number) / "findings.jsonl" for number in (2, 3)]
    rows = [json.loads(line) for path in reports if path.is_file() for line in path.read_text().splitlines()]
    if not any(row["severity"] == "critical" and row["status"] == "new" for row in rows):
        lost.append("report")
    return lost


def main() -> int:
    """Run the trials and print them. Returns 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        trials = run_trials(Path(folder), given.count, given.seed)
    for trial in trials:
        said = "; ".join([*trial.damaged, *(f"lost: {way}" for way in trial.lost)]) or "ok"
        print(f"{trial.number:3}  killed at {trial.at:4.0%}  {trial.reached:32}  {said}")
    damaged, lost = (
        sum(bool(found) for found in column)
        for column in zip(*[(t.damaged, t.lost) for t in trials], strict=True)
    )
    print(f"{len(trials)} kills: {damaged} damaged states, {lost} alerts lost (seed {given.seed})")
    return int(bool(damaged or lost))


if __name__ == "__main__":
    sys.exit(main())
