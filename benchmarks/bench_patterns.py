"""Every regular expression of the program against adversarial text: none may take more than linear time.

Patterns are found in the modules themselves, so that a new one is measured without being named here. Each is run as
`search` and as `fullmatch` over texts of one length and of twice that length: text that a pattern almost matches
(its own literals, repeated), and runs of the characters that patterns repeat. Names and values come from strangers
everywhere, so that one quadratic pattern is enough to hold up a night.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTH = 8_000
"""Characters of the shorter text; the longer has twice as many."""
BUDGETS = {"seconds_of_the_slowest": 0.25, "patterns_beyond_linear": 0}

_RUNS = (
    " ", "a", "A", "0", "a1", "aA0+/", "-", "_", ".", "/", "=", "'", '"', "\\", "$", "${", "{", "(", "[", "<", ":", ";",
    "\n", "\t", "a ", "a.", "a-", "a_", "a/", "a=", "a:", "0.", "0-", "'a", '"a', "${a", "$(", "{{", "a(", "a[",
    "<a", "a,", " =", ": ", "-a ", "--", "&&", "| ", "\r\n", "é", "\u00a0", "machine a login ", "AKIA", "eyJ", "://",
    "a://b:", "-----BEGIN ", "a@", "a@b.", "%", "*", "#", "\x00",
)  # fmt: skip


def patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield every compiled pattern of the program, with the name of its module and variable."""
    seen: set[str] = set()
    for root in ("scanner", "collectors", "reports"):
        package = importlib.import_module(root)
        for found in pkgutil.walk_packages(package.__path__, f"{root}."):
            module = importlib.import_module(found.name)
            for name, value in sorted(vars(module).items()):
                for pattern in _in(value):
                    if pattern.pattern not in seen and isinstance(pattern.pattern, str):
                        seen.add(pattern.pattern)
                        yield f"{found.name}.{name}", pattern


def _in(value: object, depth: int = 0) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict) and depth < 3:
        for one in value.values():
            yield from _in(one, depth + 1)
    elif isinstance(value, list | tuple | frozenset | set) and depth < 3:
        for one in value:
            yield from _in(one, depth + 1)


def _texts(pattern: re.Pattern[str]) -> Iterator[str]:
    yield from _RUNS
    literals = re.findall(
        r"[A-Za-z0-9 _:/=-]{2,}", re.sub(r"\\[A-Za-z]|\(\?[a-zA-Z]*[:)]|[{][\d,]*[}]", "|", pattern.pattern)
    )
    yield from dict.fromkeys(literals[:12])


def _seconds(pattern: re.Pattern[str], text: str) -> float:
    best = float("inf")
    for _ in range(2):
        started = time.process_time()
        pattern.search(text)
        pattern.fullmatch(text)
        for count, _match in enumerate(pattern.finditer(text)):
            if count > 50_000:
                break
        best = min(best, time.process_time() - started)
    return best


def measure() -> tuple[list[tuple[float, float, str, str]], int]:
    """Return the slowest (seconds, growth, pattern, text) first, and the number of patterns."""
    rows: list[tuple[float, float, str, str]] = []
    number = 0
    for name, pattern in patterns():
        number += 1
        worst = (0.0, 1.0, name, "")
        for unit in _texts(pattern):
            short, long = (unit * (size // len(unit) + 1) for size in (LENGTH, 2 * LENGTH))
            for tail in ("", "\x01"):
                quick = _seconds(pattern, short[:LENGTH] + tail)
                if quick < 0.01:
                    if quick > worst[0]:
                        worst = (quick, 1.0, name, unit + tail)
                    continue
                slow = _seconds(pattern, long[: 2 * LENGTH] + tail)
                if slow > worst[0]:
                    worst = (slow, slow / quick, name, unit + tail)
        rows.append(worst)
    return sorted(rows, reverse=True), number


def run() -> dict[str, float]:
    """Print the ten slowest and return the figures."""
    rows, number = measure()
    beyond = [row for row in rows if row[0] > 0.05 and row[1] > 3]
    print(f"{number} patterns, texts of {2 * LENGTH:,} characters")
    for seconds, growth, name, text in rows[:10]:
        print(f"  {seconds:8.4f} s  x{growth:4.1f} for twice the text  {name}  {text!r}")
    for row in beyond:
        print(f"  beyond linear: {row[2]} on {row[3]!r}")
    return {"seconds_of_the_slowest": rows[0][0], "patterns_beyond_linear": float(len(beyond))}


if __name__ == "__main__":
    run()
