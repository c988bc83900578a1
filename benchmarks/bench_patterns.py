"""Every regular expression of the program against adversarial text: none may take more than linear time.

Patterns are found in the modules themselves, so that a new one is measured without being named here. Each is run as
`finditer` and as `fullmatch` over texts of growing length: text that a pattern almost matches
(its own literals, repeated), and runs of the characters that patterns repeat. Names and values come from strangers
everywhere, so that one quadratic pattern is enough to hold up a night.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import signal
import time
from math import inf
from typing import TYPE_CHECKING

from benchmarks.adversarial import generated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SHORT, LENGTH, LONG = 1_000, 8_000, 64_000
"""Characters of the texts: every pattern meets the shortest, those that need a while for it the others."""
SUSPICIOUS = 0.0001
"""CPU seconds for the shortest text, from which on longer ones are tried. What is linear takes 64 times as long for the
longest, what is quadratic 4,000 times."""
GROWING = 1.5
"""How much more time a character may take in a text that is eight times as long, before the longest is tried."""
MATCHES = 50_000
PATIENCE = 2.0
"""CPU seconds after which a measurement is broken off: the longest text of a quadratic pattern would take minutes."""
BUDGETS = {"seconds_of_the_slowest": 1.0, "patterns_beyond_linear": 0}

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
            for where, pattern in _inline(module):
                if pattern.pattern not in seen:
                    seen.add(pattern.pattern)
                    yield f"{found.name}:{where}", pattern


_STARTING = frozenset(("match", "fullmatch"))
BOUNDED = {
    "collectors.definitions.azure.steps._CONNECTION": "a name of at most 80 characters",
    "collectors.definitions.formats._NAMES": "a path, matched whole",
    "collectors.definitions.unread_systems._PATTERNS": "a path, matched whole",
    "collectors.definitions.shell.variables._SERVICES": "a name of at most 255 characters",
}
"""Patterns that only short texts meet, with what bounds them."""


def used(name: str) -> str:
    """Return how a pattern is used: a search tries every place of a text, a match the first one only."""
    place, _, variable = name.rpartition(".")
    if ":" in place:
        calls = {variable}
    else:
        module = importlib.import_module(place)
        calls = set(re.findall(rf"\b{variable}\.(\w+)\(", inspect.getsource(module)))
        calls |= {"search"} if not variable.startswith("_") else set()
    return "fullmatch" if calls and calls <= _STARTING else "search"


_CALLS = frozenset(("search", "match", "fullmatch", "sub", "split", "findall", "finditer", "compile"))


def _inline(module: object) -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield the patterns that a module hands to a function of `re` where it uses them, with line and function: ``12.search``."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):  # type: ignore[arg-type]
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="re"), attr=name),
                args=[ast.Constant(value=str(text)), *_],
            ) if name in _CALLS:
                flags = [word.attr for word in ast.walk(node) if isinstance(word, ast.Attribute)]
                chosen = re.NOFLAG
                for flag in flags:
                    chosen |= getattr(re, flag) if flag.isupper() else re.NOFLAG
                yield f"{node.lineno}.{name}", re.compile(text, chosen)
            case _:
                continue


def _in(value: object, depth: int = 0) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, type) and depth == 0:
        for one in vars(value).values():
            yield from _in(one, depth + 2)
    elif hasattr(value, "__struct_fields__") and not isinstance(value, type) and depth < 3:
        for name in value.__struct_fields__:
            yield from _in(getattr(value, name), depth + 1)
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
    yield from dict.fromkeys([*literals[:12], *generated(pattern)])


def _seconds(pattern: re.Pattern[str], text: str, how: str) -> float:
    """Return the CPU seconds of a pattern over a text, infinity for more than ``PATIENCE``."""
    before = signal.signal(signal.SIGPROF, _interrupt)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    started = time.process_time()
    try:
        pattern.fullmatch(text)
        if how != "fullmatch":
            for count, _match in enumerate(pattern.finditer(text)):
                if count > MATCHES:
                    break
    except TimeoutError:
        return inf
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    return max(time.process_time() - started, 1e-6)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def _repeated(unit: str, tail: str, length: int) -> str:
    return (unit * (length // len(unit) + 1))[:length] + tail


def _candidates(pattern: re.Pattern[str], how: str) -> list[tuple[float, str, str]]:
    """Return the texts that a pattern is slow for: (seconds of the short text, unit, tail), the slowest first."""
    found = []
    for unit in dict.fromkeys(_texts(pattern)):
        for tail in ("", "\x01"):
            text = _repeated(unit, tail, SHORT)
            seconds = _seconds(pattern, text, how)
            if seconds > SUSPICIOUS:
                seconds = min(seconds, _seconds(pattern, text, how))
            if seconds > SUSPICIOUS:
                found.append((seconds, unit, tail))
    return sorted(found, reverse=True)


def measure() -> tuple[list[tuple[float, float, str, str]], int]:
    """Return (seconds for the longest text, growth, pattern, text), the slowest first, and the number of patterns.

    Only what grows faster than the text is measured on the longest one, and the slowest text of each pattern. A pattern
    whose measurement was broken off is measured no further.
    """
    rows: list[tuple[float, float, str, str]] = []
    number = 0
    for name, pattern in patterns():
        number += 1
        if name in BOUNDED:
            continue
        how = used(name)
        for rank, (quick, unit, tail) in enumerate(_candidates(pattern, how)):
            slow = min(_seconds(pattern, _repeated(unit, tail, LENGTH), how) for _ in range(2))
            growth = slow / quick / (LENGTH / SHORT)
            if rank == 0 or growth > GROWING:
                longest = _seconds(pattern, _repeated(unit, tail, LONG), how) if slow < inf else slow
                rows.append(
                    (longest, longest / slow / (LONG / LENGTH) if slow < inf else slow, name, unit + tail)
                )
                if longest == inf:
                    break
    return sorted(rows, reverse=True), number


LINEAR = 2.5
"""How much more time a character of a long text may take than one of a short text."""


def run() -> dict[str, float]:
    """Print the ten slowest, each with its slowest text, and return the figures."""
    rows, number = measure()
    beyond = [row for row in rows if row[0] > 0.05 and row[1] > LINEAR]
    print(f"{number} patterns, texts of {LONG:,} characters")
    slowest = {row[2]: row for row in reversed(rows)}
    for seconds, growth, name, text in sorted(slowest.values(), reverse=True)[:10]:
        print(f"  {seconds:8.4f} s  x{growth:4.1f} a character, against a short text  {name}  {text!r}")
    for row in beyond:
        print(f"  beyond linear: {row[2]} on {row[3]!r}")
    return {"seconds_of_the_slowest": rows[0][0], "patterns_beyond_linear": float(len(beyond))}


if __name__ == "__main__":
    run()
