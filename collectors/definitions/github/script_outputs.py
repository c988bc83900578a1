"""Values that a shell script writes to GITHUB_OUTPUT, GITHUB_ENV and GITHUB_PATH, and whether they contain untrusted
text. Read line by line, never run:
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from collectors.definitions.github.expressions import expressions
from scanner.records import Severity  # noqa: TC001  msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 200_000
_LONGEST_LINE = 5_000
_RANK: dict[Severity, int] = {"critical": 0, "high": 1, "medium": 2, "low": 3, "info": 4}
_ASSIGNMENT = re.compile(
    r"^\s*+(?:(?:export|local|declare|readonly|typeset)\s+(?:-\w+\s+)*)?\$?(?P<name>[A-Za-z_]\w*)\+?=(?P<value>.*)$|"
    r"^\s*+(?:.*\|\s*)?(?:while\s+)?(?:IFS=\S*\s+)?read\s+(?:-\w+\s+)*(?P<read>[A-Za-z_]\w*)|"
    r"^\s*+for\s+(?P<each>[A-Za-z_]\w*)\s+in\s+(?P<list>.*)$"
)
_VARIABLE = re.compile(r"\$(?:\{[!#]?(?:env:)?|env:)?(?P<name>[A-Za-z_]\w*)|%(?P<cmd>[A-Za-z_]\w*)%")
_TARGET = re.compile(r"GITHUB_(?P<file>OUTPUT|ENV|PATH)\b")
_PAIR = re.compile(r"(?:^|[\s\"'({])(?P<name>[A-Za-z_][\w.-]*)(?P<sign>=|<<)")
_MARK = re.compile(r"\s*[\"']?([^\s\"']+)")
_COMMAND = re.compile(
    r"::(?:set-output\s+name=(?P<output>[\w.-]+)|set-env\s+name=(?P<env>\w+)|(?P<path>add-path))::"
)
_FETCHED = re.compile(
    r"\bgh\s+(?:pr|issue)\s+view\b[^\n]*(?:\b(?:title|body|comments|headRefName|files|commits|labels)\b)|\bgh\s+pr\s+diff\b|"
    r"\bgh\s+api\b[^\n]*/(?:pulls|issues|commits|comments|actions/runs)\b(?!.*(?:--jq|-q)[ =][\"']?\.?(?:\[\])?\.?(?:number|id|sha|head\.sha|state|url|merged|draft|user\.login)[\"']?)|"
    r"\bgh\s+api\b[^\n]*\.(?:title|body|head\.ref|head\.label|filename|message)\b|"
    r"\bjq\b[^\n]*\.(?:title|body|message|head_?ref|head\.ref|head\.label|head_branch|display_title|page_name|email)\b[^\n]*GITHUB_EVENT_PATH|"
    r"GITHUB_EVENT_PATH[^\n]*\bjq\b[^\n]*\.(?:title|body|message|head\.ref|head\.label|head_branch|display_title|page_name)\b|"
    r"\bcat\s+[\"']?\$\{?GITHUB_EVENT_PATH"
)
_HISTORY = re.compile(
    r"\bgit\s+(?:log|show)\b(?![^\n]*(?:%[hHtTpPcCn]{1,2}[\"'\s)]|--format=%[hH]\b))|\bgit\s+(?:diff|diff-tree|ls-files|ls-tree)\b[^\n]*--name-(?:only|status)"
)
"""Commit messages and file names, which the author of the checked-out code controls."""
_READS_FILE = re.compile(
    r"\$\(\s*<|\b(?:cat|head|tail|jq|yq|grep|awk|sed|cut|sort|tr|tee|xargs|Get-Content|type|find|ls)\s+[^|>]*[\w.*-]|<\s*[\w./$\"'{]"
)
ONE_LINE = re.compile(
    r"\btr\s+-d\s+[\"'$]*\\?(?:\\[nr]|\[:cntrl:\]|\[:space:\])|\bhead\s+-(?:n\s*)?1\b|//\$'\\n'/"
)
"""Commands that keep a text on one line, so that it cannot set another variable."""
RANDOM = re.compile(
    r"\$RANDOM|\$\(\s*(?:date\s+\+[^)]*%N|uuidgen|openssl\s+rand|dd\s|head\s+-c|mktemp|cat\s+/proc/sys/kernel/random)|/dev/urandom"
)
_NARROWED = re.compile(
    r"\btr\s+-(?:cd|dc)\s|\bgrep\s+-\w*[oE]\w*\s+[\"']?\^?\(?(?:\[0-9\]|\\d|\[\[:digit:\]\])[+*]?\)?\$?[\"']|\[\^\w\\.-]+\]|\bwc\s+-|\b(?:sha\d+|md5)sum\b|"
    r"\bprintf\s+(?:-v\s+\w+\s+)?[\"']?%q|\bbase64\b|@(?:sh|base64|uri)\b|\|\s*length\b|\bgrep\s+-\w*q|\bgrep\s+-\w*c\b"
)
"""Commands that reduce a text to digits, a count or a hash, or quote it."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """Names that a script writes, each with the severity of its value; None if only the workflow controls it."""

    outputs: dict[str, Severity | None] = {}
    variables: dict[str, Severity | None] = {}
    lines: dict[int, Severity] = {}
    """Line (from 0) that writes untrusted text to GITHUB_ENV or GITHUB_PATH."""


def flow(
    script: str,
    variables: dict[str, Severity],
    severity_of: Callable[[str], Severity | None],
    *,
    fetched: Severity,
    files: Severity | None,
) -> Written:
    """Follow a script. ``severity_of`` returns the severity of an expression; ``files`` is that of files in the working
    directory.
    """
    return _Script(dict(variables), severity_of, fetched, files).read(script[:_LONGEST])


class _Open:
    """A multi-line variable, ``NAME<<MARK``, whose end has not been reached."""

    def __init__(self, name: str, mark: str, targets: set[str], random: bool) -> None:
        self.name = name
        self.targets = targets
        self.random = random
        self.end = re.compile(rf"\s*(?:echo\s+)?[\"']?{re.escape(mark)}[\"']?\s*(?:>|$)")


class _Script:
    def __init__(
        self,
        variables: dict[str, Severity],
        severity_of: Callable[[str], Severity | None],
        fetched: Severity,
        files: Severity | None,
    ) -> None:
        self._held = variables
        self._severity_of = severity_of
        self._fetched = fetched
        self._files = files
        self._lone: set[str] = set()
        self._random: set[str] = set()
        self._outputs: dict[str, Severity | None] = {}
        self._variables: dict[str, Severity | None] = {}
        self._lines: dict[int, Severity] = {}

    def read(self, script: str) -> Written:
        lines = script.split("\n")
        block = _targets_of_blocks(lines)
        everywhere = {match["file"] for match in _TARGET.finditer(script)}
        opened: _Open | None = None
        for number, line in enumerate(lines):
            if line.lstrip().startswith("#"):
                continue
            level = self._level(line[:_LONGEST_LINE])
            self._assign(line[:_LONGEST_LINE], level)
            targets = {match["file"] for match in _TARGET.finditer(line)} or block.get(number, set())
            if not targets and len(everywhere) == 1 and opened is not None:
                targets = everywhere
            for command in _COMMAND.finditer(line):
                self._command(command, level, number)
            if level is not None and (
                "PATH" in targets or ("ENV" in targets and not self._is_contained(line, opened))
            ):
                self._lines.setdefault(number, level)
            if opened is not None:
                if opened.end.match(line):
                    opened = None
                else:
                    self._note(opened.name, opened.targets, level)
                continue
            match = _PAIR.search(line) if targets else None
            if match is None:
                continue
            self._note(match["name"], targets, level)
            mark = _MARK.match(line, match.end()) if match["sign"] == "<<" else None
            if mark is not None:
                opened = _Open(match["name"], mark[1], targets, self._is_random(mark[1]))
        return Written(outputs=self._outputs, variables=self._variables, lines=self._lines)

    def _is_contained(self, line: str, opened: _Open | None) -> bool:
        """Return whether a text cannot break out of its variable: it is one line, or ends at an unpredictable mark."""
        if (opened is not None and opened.random) or ONE_LINE.search(line):
            return True
        held = [
            name
            for match in _VARIABLE.finditer(line)
            if (name := match["name"] or match["cmd"]) in self._held
        ]
        return bool(held) and all(name in self._lone for name in held) and "${{" not in line

    def _is_random(self, mark: str) -> bool:
        return RANDOM.search(mark) is not None or mark.strip("${}") in self._random

    def _command(self, match: re.Match[str], level: Severity | None, number: int) -> None:
        if match["output"]:
            self._note(match["output"], {"OUTPUT"}, level)
            return
        if match["env"]:
            self._note(match["env"], {"ENV"}, level)
        if level is not None:
            self._lines.setdefault(number, level)

    def _note(self, name: str, targets: set[str], level: Severity | None) -> None:
        for file, table in (("OUTPUT", self._outputs), ("ENV", self._variables)):
            if file in targets:
                table[name] = _worse(table.get(name), level)

    def _assign(self, line: str, level: Severity | None) -> None:
        match = _ASSIGNMENT.match(line)
        if match is None:
            return
        name = match["name"] or match["read"] or match["each"]
        if RANDOM.search(line):
            self._random.add(name)
        if ONE_LINE.search(line) or (match["each"] and level is not None):
            self._lone.add(name)
        if level is not None:
            self._held[name] = level
        elif not line.startswith((" ", "\t")):
            self._held.pop(name, None)

    def _level(self, line: str) -> Severity | None:
        found: Severity | None = None
        if "${{" in line:
            for expression in expressions(line):
                found = _worse(found, self._severity_of(expression.body))
        for match in _VARIABLE.finditer(line):
            found = _worse(found, self._held.get(match["name"] or match["cmd"]))
        if _FETCHED.search(line):
            found = _worse(found, self._fetched)
        if _HISTORY.search(line):
            found = _worse(found, self._files or "low")
        if self._files is not None and _READS_FILE.search(line):
            found = _worse(found, self._files)
        return None if found is not None and _NARROWED.search(line) else found


def _worse(first: Severity | None, second: Severity | None) -> Severity | None:
    if first is None or second is None:
        return first or second
    return first if _RANK[first] <= _RANK[second] else second


def _targets_of_blocks(lines: list[str]) -> dict[int, set[str]]:
    """Return line to the files that an enclosing block ``{ ... } >> "$GITHUB_ENV"`` or here-document writes to."""
    found: dict[int, set[str]] = {}
    start: int | None = None
    document: tuple[str, set[str]] | None = None
    for number, line in enumerate(lines):
        stripped = line.strip()
        targets = {match["file"] for match in _TARGET.finditer(line)}
        if document is not None:
            if stripped == document[0]:
                document = None
            else:
                found[number] = document[1]
            continue
        heredoc = re.search(r"<<-?\s*[\"']?(?P<mark>\w+)", line)
        if heredoc and targets and re.search(r"\b(?:cat|tee)\b", line):
            document = (heredoc["mark"], targets)
        elif stripped in {"{", "("} or stripped.endswith((" {", "; do", " do")):
            start = number
        elif start is not None and re.match(r"(?:\}|\)|done)", stripped):
            for inside in range(start + 1, number):
                found.setdefault(inside, targets)
            start = None
    return {number: targets for number, targets in found.items() if targets}
