"""Tries the pairs, prints the table, and keeps what came of each."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec

from benchmarks.faults.criteria import CRITERIA, misses
from benchmarks.faults.estate import FaultEstate
from benchmarks.faults.pairs import FaultPair, pairs_of
from sandbox.kit.provider import load_package, provider_names

RESULTS = Path(__file__).parent.parent / "results"
SEED = 9
MINUTES = 60.0
"""How long one collector may take."""


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


def main() -> int:
    """Return 1 when a finding was wrongly resolved, an exit code was a false 0, or more than 1 % of the pairs were wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("collectors", nargs="*", help="default: all")
    parser.add_argument("--sample", type=int, help="try only so many pairs, drawn with a fixed seed")
    parser.add_argument("--missed", action="store_true", help="try again what was wrong the last time")
    parser.add_argument("--fresh", action="store_true", help="forget the results of earlier runs")
    parser.add_argument("--route", default="", help="only endpoints whose name contains this")
    parser.add_argument("--fault", default="", help="only this fault")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    wrong = False
    for name in given.collectors or provider_names():
        ledger = PairResults(name)
        if given.fresh:
            ledger.forget()
        results = _try(name, ledger, given)
        wrong |= _report(name, results)
    return int(wrong)


def _try(collector: str, ledger: PairResults, given: argparse.Namespace) -> list[PairResult]:
    """Try the pairs that have no result yet, of every variant of the collector's sandbox."""
    ends = time.monotonic() + MINUTES * 60
    seen: set[str] = set()
    chosen: list[FaultPair] = []
    for variant in load_package(collector).VARIANTS:
        with FaultEstate(collector, variant) as estate:
            since = len(estate.sandbox.log)
            healthy = estate.healthy
            assert healthy.night is not None
            log = [call for call in estate.sandbox.log[since:] if call.name not in seen]
            seen |= {call.name for call in log}
            pairs = [
                pair
                for pair in pairs_of(variant, log, estate.sandbox.unfit)
                if given.route in pair.route and given.fault in {"", pair.fault}
            ]
            if given.missed:
                pairs = [pair for pair in pairs if pair in ledger.results and ledger.results[pair].misses]
            elif given.sample:
                pairs = random.Random(SEED).sample(pairs, min(given.sample, len(pairs)))
            # In no order of their own: what an interrupted run has tried is a fair sample.
            random.Random(SEED).shuffle(pairs)
            chosen += pairs
            for number, pair in enumerate(pairs):
                if pair in ledger.results and not given.missed:
                    continue
                if time.monotonic() > ends:
                    print(f"{collector}: {MINUTES:.0f} minutes are over; run again to go on", flush=True)
                    break
                night = estate.second(pair)
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
                    print(f"{collector} {pair.route} {pair.fault}: {', '.join(result.misses)}", flush=True)
                elif sys.stderr.isatty():
                    print(f"\r{number + 1}/{len(pairs)}", end="", file=sys.stderr, flush=True)
    return [ledger.results[pair] for pair in chosen if pair in ledger.results]


def _report(collector: str, results: list[PairResult]) -> bool:
    """Print the table, write the JSON, and return whether a goal is missed."""
    met = [result for result in results if result.met]
    failed = Counter(name for result in met for name in result.misses)
    right = sum(1 for result in met if not result.misses)
    print(f"\n{collector}: {len(met)} pairs of endpoint and fault ({len(results) - len(met)} met no request)")
    for name, what in CRITERIA.items():
        print(f"  {len(met) - failed[name]:5} of {len(met):5}  {what}")
    share = right / len(met) if met else 0.0
    print(f"  {right:5} of {len(met):5}  right on every criterion ({share:.1%})")
    for result in met:
        for name, why in result.misses.items():
            print(
                f"    {result.pair.route} x {result.pair.fault}: {name}: {why.strip().splitlines()[-1][:300]}"
            )
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"faults-{collector}.json"
    summary = {
        "collector": collector,
        "pairs": len(met),
        "right": right,
        "failed": dict(failed),
        "results": sorted(results, key=lambda result: result.pair),
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n")
    print(f"  {path}")
    return bool(failed["resolved"] or failed["exit"] or share < 0.99)


if __name__ == "__main__":
    sys.exit(main())
