"""Tries the pairs, prints the table, and keeps what came of each."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks.faults.attempts import RESULTS, PairChoice, PairResult, PairResults, try_routes
from benchmarks.faults.criteria import CRITERIA
from sandbox.kit.provider import load_package, provider_names

if TYPE_CHECKING:
    from benchmarks.faults.pairs import FaultPair

MINUTES = 60.0
"""How long one collector may take, if the command does not say."""


def main() -> int:
    """Return 1 when a finding was wrongly resolved, an exit code was a false 0, or more than 1 % of the pairs were wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("collectors", nargs="*", help="default: all")
    parser.add_argument("--sample", type=int, help="try only so many pairs, drawn with a fixed seed")
    parser.add_argument("--missed", action="store_true", help="try again what was wrong the last time")
    parser.add_argument("--fresh", action="store_true", help="forget the results of earlier runs")
    parser.add_argument("--route", default="", help="only endpoints whose name contains this")
    parser.add_argument("--fault", default="", help="only this fault")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="how long one collector may take")
    parser.add_argument("--workers", type=int, default=2, help="processes, each with a sandbox of its own")
    given = parser.parse_args()
    if unknown := sorted(set(given.collectors) - set(provider_names())):
        parser.error(
            f"no package sandbox/{unknown[0].replace('-', '_')}/; there are {', '.join(provider_names())}"
        )
    logging.disable(logging.CRITICAL)
    wrong = False
    for name in given.collectors or provider_names():
        ledger = PairResults(name)
        if given.fresh:
            ledger.forget()
        choice = PairChoice(
            collector=name,
            ends=time.time() + given.minutes * 60,
            route=given.route,
            fault=given.fault,
            sample=given.sample,
            missed=given.missed,
        )
        results = _try(choice, ledger, given.workers)
        wrong |= _report(name, results)
    return int(wrong)


def _try(choice: PairChoice, ledger: PairResults, workers: int) -> list[PairResult]:
    """Try the pairs that have no result yet, of every variant of the collector's sandbox."""
    seen: frozenset[str] = frozenset()
    chosen: set[FaultPair] = set()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for variant in load_package(choice.collector).VARIANTS:
            if time.time() > choice.ends:
                break
            with tempfile.TemporaryDirectory() as claims:
                tasks = [pool.submit(try_routes, choice, variant, seen, Path(claims)) for _ in range(workers)]
                for task in tasks:
                    pairs, routes = task.result()
                    chosen |= pairs
                    seen |= routes
    if time.time() > choice.ends:
        print(f"{choice.collector}: the time is over; run again to go on", flush=True)
    ledger.read()
    return [ledger.results[pair] for pair in sorted(chosen) if pair in ledger.results]


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
