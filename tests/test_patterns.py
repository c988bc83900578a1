"""No regular expression of the program can be held up by the text of a stranger.

Every pattern is found in the modules, those that are written where they are used included, and runs over 64,000
characters made from itself. ``python -m benchmarks patterns`` tries more texts.
"""

from __future__ import annotations

import re
import time

from benchmarks.adversarial import generated, texts
from benchmarks.bench_patterns import BOUNDED, patterns, used

SHORT, LONG = 1_000, 64_000
SECONDS = 1.5
"""CPU seconds for one search of the long text. A quadratic pattern takes 4,000 times as long for it as for the short."""
SUSPICIOUS = 0.0008
"""CPU seconds for the short text, from which on the long one is tried."""


def _seconds(pattern: re.Pattern[str], text: str, how: str = "search") -> float:
    started = time.process_time()
    getattr(pattern, how)(text)
    return time.process_time() - started


def test_no_pattern_takes_long_for_text_made_to_hold_it_up() -> None:
    # Not a mapping: a tuple of patterns has one name.
    found = [(name, pattern) for name, pattern in patterns() if name not in BOUNDED]
    assert len(found) > 250
    slow = []
    for name, pattern in found:
        how = used(name)
        for short, long in zip(texts(pattern, SHORT), texts(pattern, LONG), strict=True):
            if _seconds(pattern, short, how) > SUSPICIOUS:
                seconds = _seconds(pattern, long, how)
                if seconds > SECONDS and _seconds(pattern, long, how) > SECONDS:
                    slow.append(f"{name}: {seconds:.1f} s for {long[:40]!r}...")
    assert slow == []


def test_a_pattern_that_is_quadratic_is_found_out() -> None:
    bad = re.compile(r"<[^>]*\s+b")
    assert max(_seconds(bad, text) for text in texts(bad, 8_000)) > SUSPICIOUS
    assert generated(re.compile("ab*c{2}[^a-z]+")) == ["b", "ab", "ba", "0", "abcc0", "0abcc"]
