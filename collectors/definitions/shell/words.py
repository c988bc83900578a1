"""Splits a shell script into commands and words, without running it. Expansions (``$(...)``, variables) stay text.
Lines are read one at a time, so that a stray quote affects only one line:
https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_SCRIPT = 200_000
MAX_LINE = 5_000
"""Maximum characters of one command; longer lines are data, not commands."""
_MOST_LEVELS = 3
_WORD = re.compile(
    r"""(?x)
    (?P<blank> \s+ )
    | (?P<comment> \# .* )
    | (?P<end> && | \|\| | ; | & (?! > ) (?<! [>\d] & ) )
    | (?P<pipe> \| )
    | (?P<word> (?: ' [^']*+ ' | " (?: [^"\\] | \\. )*+ " | \\. | [^\s'"\\;|&] | (?<=[>\d]) & | ['"\\] )++ )
    """
)
_INNER = re.compile(r"\$\((?P<inner>[^()]{2,2000})\)|`(?P<ticks>[^`]{2,2000})`")
_MACRO = re.compile(r"[\w.:-]+")
"""``$(Build.BuildId)`` of Azure Pipelines is a variable; a command without arguments deploys nothing either."""
_QUOTES = re.compile(r"'([^']*+)'|\"((?:[^\"\\]|\\.)*+)\"|\\(.)")
_SHELLS = frozenset(("bash", "sh", "zsh", "dash", "ash"))
_PRINTS = frozenset(("echo", "printf", "print", "Write-Host", "Write-Output"))
_OPENERS = frozenset(("(", "{", "!", "then", "do", "else", "if", "while", "until", "elif", "time"))
_PREFIXES = frozenset(("sudo", "exec", "command", "nohup", "env", "call"))
_SET = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_LOCAL = re.compile(
    r"(?:^|[;&|(]|\bthen\b|\bdo\b)[ \t]*(?:(?:export|local|readonly|declare|typeset|set|SET)[ \t]+(?:-\w+[ \t]+){0,6})?[\"']?"
    r"(?P<name>[A-Za-z_]\w*)\+?=(?P<value>\"[^\"$`\n]*\"|'[^'\n]*'|[^\s\"'$`;&|()]*)"
    r"|^[ \t]*\$(?:env:)?(?P<power>[A-Za-z_]\w*)\s*=(?!=)|\bfor\s+\(?(?P<loop>[A-Za-z_]\w*)\s+in\b"
    r"|\bread\s+(?:-\w+\s+){0,6}(?P<read>[A-Za-z_]\w*)",
    re.MULTILINE,
)
_STATEMENT = re.compile(r"\n|;(?!\s*$)|&&")


class Command(NamedTuple):
    """A simple command."""

    words: list[str]
    """Without quotes, assignments before the program and words like ``sudo`` and ``then``."""
    line: int
    """From 0."""
    piped: list[str] | None = None
    """The words of the command that pipes into it."""


def is_computed(word: str) -> bool:
    """Return whether the shell expands a part of a word."""
    return re.search(r"\$[\w{(]|`|%\w+%|\{\{", word) is not None


def option(words: list[str], *names: str) -> str | None:
    """Return the value of the first of these options that has one."""
    for at, word in enumerate(words):
        name, found, value = word.partition("=")
        if name in names:
            if found:
                return value or None
            following = words[at + 1] if at + 1 < len(words) else ""
            return following if following and not following.startswith("-") else None
    return None


def commands(
    script: str, wanted: re.Pattern[str], resolve: Callable[[str], str] | None = None
) -> Iterator[Command]:
    """Yield the commands in lines that match a pattern, including those in ``$(...)`` and ``bash -c``. Comments and
    printed text are ignored. ``resolve`` substitutes known variables.
    """
    for number, line in _lines(script[:MAX_SCRIPT]):
        if not wanted.search(line):
            continue
        filled = resolve(line) if resolve is not None else line
        if len(filled) <= MAX_LINE:
            yield from _commands(filled, number, 0)


def _lines(script: str) -> Iterator[tuple[int, str]]:
    """Yield lines with their number, with continuation lines joined."""
    held: list[str] = []
    first = size = 0
    for number, line in enumerate(script.split("\n")):
        if not held:
            first = number
        stripped = line.rstrip()
        size += len(stripped)
        if stripped.endswith(("\\", " `")) and size <= MAX_LINE:
            held.append(stripped[:-1])
            continue
        yield first, " ".join([*held, line])
        held, size = [], 0
    if held:
        yield first, " ".join(held)


def _commands(line: str, number: int, depth: int) -> Iterator[Command]:
    inner: list[str] = []

    def taken(match: re.Match[str]) -> str:
        held = match["inner"] or match["ticks"] or ""
        if _MACRO.fullmatch(held.strip()):
            return match.group()
        inner.append(held)
        return "$computed"

    if depth < _MOST_LEVELS:
        for _ in range(_MOST_LEVELS):
            shorter = _INNER.sub(taken, line)
            if shorter == line:
                break
            line = shorter
    words: list[str] = []
    piped: list[str] | None = None
    for match in _WORD.finditer(line):
        kind = match.lastgroup
        if kind == "word":
            words.append(_unquoted(match.group()))
        elif kind in {"end", "pipe"}:
            yield from _whole(words, number, piped, depth)
            piped = words if kind == "pipe" else None
            words = []
        elif kind == "comment":
            break
    yield from _whole(words, number, piped, depth)
    if depth < _MOST_LEVELS:
        for held in inner:
            yield from _commands(held, number, depth + 1)


def _whole(words: list[str], number: int, piped: list[str] | None, depth: int) -> Iterator[Command]:
    start = 0
    while start < len(words) and (
        words[start] in _OPENERS
        or words[start] in _PREFIXES
        or _SET.fullmatch(words[start])
        or (words[start].startswith("-") and start > 0 and words[start - 1] in _PREFIXES)
    ):
        start += 1
    rest = words[start:]
    if rest:
        rest[0] = rest[0].lstrip("({@")
        rest[-1] = rest[-1].rstrip(")") if "(" not in rest[-1] else rest[-1]
    if not rest or rest[0] in _PRINTS:
        return
    program = rest[0].rsplit("/", 1)[-1]
    if program == "eval" and depth < _MOST_LEVELS:
        yield from _commands(" ".join(rest[1:]), number, depth + 1)
    elif program in _SHELLS and depth < _MOST_LEVELS:
        flag = next((at for at, word in enumerate(rest) if re.fullmatch(r"-\w*c", word)), None)
        if flag is not None and flag + 1 < len(rest):
            for at, line in enumerate(rest[flag + 1].split("\n")):
                yield from _commands(line, number + at, depth + 1)
            return
    elif program == "ssh" and depth < _MOST_LEVELS and re.search(r"\s", rest[-1]):
        for at, line in enumerate(rest[-1].split("\n")):
            yield from _commands(line, number + at, depth + 1)
    yield Command(rest, number, piped)


def _unquoted(word: str) -> str:
    return _QUOTES.sub(lambda match: match[1] or (match[2] or "").replace('\\"', '"') or match[3] or "", word)


def assigned(script: str) -> Iterator[tuple[str, str, int]]:
    """Yield the variables that a script sets: name, literal value (else empty), and the offset from which it
    applies.
    """
    if "=" not in script and "read" not in script and "for" not in script:
        return
    for match in _LOCAL.finditer(script[:MAX_SCRIPT]):
        name = match["name"] or match["power"] or match["loop"] or match["read"]
        end = _STATEMENT.search(script, match.end(), match.end() + MAX_LINE)
        after = script[match.end() : match.end() + 1]
        plain = match["name"] is not None and after in {"", " ", "\n", ";", "&", "\t", "\r"}
        value = match["value"].strip("\"'") if plain else ""
        yield name, value, end.start() if end else match.end() + MAX_LINE
