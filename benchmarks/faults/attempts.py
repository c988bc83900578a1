"""Tries pairs of endpoint and fault in several processes, and keeps what came of each."""

from __future__ import annotations

import logging
import random
import time
from pathlib import Path

import msgspec

from benchmarks.faults.criteria import FaultyNight, misses
from benchmarks.faults.estate import FaultEstate
from benchmarks.faults.pairs import FaultPair, pairs_of

RESULTS = Path(__file__).parent.parent / "results"
SEED = 9


class PairChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Which pairs of a collector are tried, and until when (seconds since 1970)."""

    collector: str
    ends: float
    route: str = ""
    """Only endpoints whose name contains this."""
    fault: str = ""
    """Only this fault."""
    sample: int | None = None
    missed: bool = False
    """Only what was wrong the last time."""


class PairResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one pair; a line of the file."""

    pair: FaultPair
    met: bool
    """False when no request met the fault: the pair shows nothing."""
    misses: dict[str, str]
    """Criterion -> what was seen instead."""
    exit_code: int
    seconds: float


class PairResults:
    """The results of a collector: appended one by one, so that an interrupted run goes on."""

    def __init__(self, collector: str) -> None:
        self._path = RESULTS / f"faults-{collector}.jsonl"
        self.results: dict[FaultPair, PairResult] = {}
        self.read()

    def read(self) -> None:
        """Read what every worker has kept."""
        if self._path.is_file():
            for line in self._path.read_bytes().splitlines():
                try:
                    result = msgspec.json.decode(line, type=PairResult)
                except msgspec.DecodeError:
                    continue  # the run was killed while it wrote this line
                self.results[result.pair] = result

    def add(self, result: PairResult) -> None:
        """Keep a result."""
        self.results[result.pair] = result
        RESULTS.mkdir(exist_ok=True)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(result) + b"\n")

    def forget(self) -> None:
        """Begin anew."""
        self._path.unlink(missing_ok=True)
        self.results = {}


def try_routes(
    choice: PairChoice, variant: str, seen: frozenset[str], claims: Path
) -> tuple[set[FaultPair], frozenset[str]]:
    """Try the routes that no other worker has claimed; return all pairs and routes. It runs in a process of its own.

    One worker tries all faults of a route: most of them cost the same records, which are then analyzed once.
    """
    logging.disable(logging.CRITICAL)
    ledger = PairResults(choice.collector)
    with FaultEstate(choice.collector, variant) as estate:
        since = len(estate.sandbox.log)
        healthy = estate.healthy
        assert healthy.night is not None
        log = [call for call in estate.sandbox.log[since:] if call.name not in seen]
        pairs = [
            pair
            for pair in pairs_of(variant, log, estate.sandbox.unfit)
            if choice.route in pair.route and choice.fault in {"", pair.fault}
        ]
        if choice.missed:
            pairs = [pair for pair in pairs if pair in ledger.results and ledger.results[pair].misses]
        elif choice.sample:
            pairs = random.Random(SEED).sample(pairs, min(choice.sample, len(pairs)))
        routes = sorted({pair.route for pair in pairs})
        # In no order of their own: what an interrupted run has tried is a fair sample.
        random.Random(SEED).shuffle(routes)
        for number, route in enumerate(routes):
            try:
                (claims / str(number)).touch(exist_ok=False)
            except FileExistsError:
                continue
            for pair in pairs:
                if pair.route != route or (pair in ledger.results and not choice.missed):
                    continue
                if time.time() > choice.ends:
                    break
                _try_pair(estate, pair, healthy, ledger)
        return set(pairs), frozenset(call.name for call in log)


def _try_pair(estate: FaultEstate, pair: FaultPair, healthy: FaultyNight, ledger: PairResults) -> None:
    night = estate.second(pair)
    assert healthy.night is not None
    missed = misses(pair.fault, night, healthy.night, healthy.findings, estate.parts)
    result = PairResult(
        pair=pair,
        met=night.struck,
        misses=missed if night.struck else {},
        exit_code=night.exit_code,
        seconds=round(night.seconds, 2),
    )
    ledger.add(result)
    if result.misses:
        print(f"{estate.collector} {pair.route} {pair.fault}: {', '.join(result.misses)}", flush=True)
