"""The HTML report of 200,000 findings: its size, the time to write it, and how soon a reviewer can read and search it."""

from __future__ import annotations

import resource
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

import msgspec
from playwright.sync_api import Page, expect, sync_playwright

from reports.html import Config, write
from scanner.analyze.framework import load_frameworks, references
from scanner.analyze.rule_files import load_rules
from scanner.findings import RuleResult
from scanner.night import open_night
from scanner.parquet import write_table
from tests.synthetic_night import NAMES, write_night

FINDINGS = 200_000
BUDGETS = {
    "megabytes_at_200k": 10.0,
    "readable_seconds_at_200k": 2.0,
    "fixed_overhead_kilobytes": 140.0,
}


def _all_rules(state: Path, run_id: str) -> None:
    """Put every built-in rule in force, as analysis does: their texts are the larger part of an empty report."""
    folder = state / "analysis" / run_id
    rules = load_rules()
    cited = references(load_frameworks())
    texts = [
        {
            "id": rule.id,
            "title": rule.title,
            "severity": rule.severity,
            "why": rule.why,
            "fix": rule.fix,
            "params": rule.params,
            "controls": cited.get(rule.id, {}),
        }
        for rule in rules
    ]
    (folder / "rules.json").write_bytes(msgspec.json.encode(texts))
    results = (
        RuleResult(
            rule=rule.id,
            title=rule.title,
            severity=rule.severity,
            category=rule.category,
            provider="aws",
            account_id=account,
            status="evaluated",
            findings=0,
        )
        for rule in rules
        for account in NAMES
    )
    write_table(folder / "rule_results.parquet", RuleResult, results)


def _report(count: int, *, empty: bool = False) -> tuple[Path, float]:
    state = Path(tempfile.mkdtemp(prefix="bench-html-"))
    run_id = write_night(state, count=count, empty=empty)
    _all_rules(state, run_id)
    with open_night(state, run_id) as night:
        started = time.perf_counter()
        (path,) = write(night, state / "reports", Config())
    return path, time.perf_counter() - started


def _opened(page: Page, path: Path) -> tuple[float, float]:
    """Return the seconds until the verdict is painted, and until the table of all findings answers."""
    started = time.perf_counter()
    page.goto(path.as_uri(), wait_until="commit")
    expect(page.locator("#verdict .cov")).to_be_visible()
    readable = time.perf_counter() - started
    expect(page.locator("#explorer")).to_be_visible(timeout=60_000)
    return readable, time.perf_counter() - started


def _search(page: Page) -> float:
    """Return the seconds that a second search takes; the first one also builds the searched text."""
    box, shown = page.locator("#explorer input[type=search]").first, page.locator("#explorer .count")
    whole = shown.inner_text()
    box.fill("jenkins")
    expect(shown).not_to_have_text(whole, timeout=60_000)
    before = shown.inner_text()
    started = time.perf_counter()
    box.fill("jenkins risk")
    expect(shown).not_to_have_text(before, timeout=60_000)
    return time.perf_counter() - started


def run() -> dict[str, float]:
    empty, _ = _report(0, empty=True)
    overhead = empty.stat().st_size
    path, written = _report(FINDINGS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = path.stat().st_size
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=["--no-sandbox"],
        )
        times = []
        for _ in range(3):
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            times.append(_opened(page, path))
            search = _search(page)
            page.close()
        browser.close()
    for made in (empty, path):
        shutil.rmtree(made.parent.parent)
    return {
        "megabytes_at_200k": size / 1e6,
        "readable_seconds_at_200k": median(whole for _, whole in times),
        "verdict_seconds_at_200k": median(first for first, _ in times),
        "search_seconds_at_200k": search,
        "write_seconds_at_200k": written,
        "peak_megabytes_with_the_made_up_night": peak,
        "fixed_overhead_kilobytes": overhead / 1e3,
    }
