"""Parses AWS policy documents and matches names by AWS's rules for case and wildcards.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

QUALIFIERS = ("forallvalues:", "foranyvalue:")


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One key of one operator block."""

    operator: str
    """Lower case, without qualifier and ``IfExists``: ``stringequals``."""
    qualifier: Literal["", "all", "any"] = ""
    """``all`` for ForAllValues, ``any`` for ForAnyValue."""
    if_exists: bool = False
    """Whether the operator ends in ``IfExists``."""
    key: str
    """Lower case; condition keys are case-insensitive."""
    values: tuple[str, ...]
    """As written; booleans and numbers in JSON notation."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement. In each pair (actions, not_actions and so on), the absent element is empty."""

    label: str
    """How to find it in the document: ``statement 'Sid'`` or ``statement 2``."""
    allow: bool
    """Effect."""
    actions: tuple[str, ...] = ()
    """Lower case patterns."""
    not_actions: tuple[str, ...] = ()
    """Lower case patterns."""
    resources: tuple[str, ...] = ()
    """Patterns as written."""
    not_resources: tuple[str, ...] = ()
    """Patterns as written."""
    principals: tuple[tuple[str, str], ...] = ()
    """``(kind, value)``: ``AWS``, ``Service``, ``Federated``, ``CanonicalUser``; kind ``*`` for a bare star."""
    not_principals: tuple[tuple[str, str], ...] = ()
    """As `principals`."""
    conditions: tuple[Condition, ...] = ()
    """All must be true."""

    def covers_action(self, action: str) -> bool:
        """Return whether the statement applies to ``action`` (any case)."""
        lowered = action.lower()
        if self.not_actions:
            return not any(glob(pattern, lowered) for pattern in self.not_actions)
        return any(glob(pattern, lowered) for pattern in self.actions)


class PolicyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed policy document."""

    key: str
    """Hash of the canonical JSON: equal for equal documents."""
    statements: tuple[Statement, ...]
    """In the order of the document."""
    variables: bool
    """Whether ``${...}`` is expanded: in Version 2012-10-17, not in 2008-10-17."""
    broken: str | None = None
    """Parts that could not be parsed; the other statements are kept."""


def glob(pattern: str, text: str) -> bool:
    """Match ``text`` against ``pattern`` with ``*`` and ``?``; a ``*`` inside ``text`` is matched only by ``*``, so
    that the function also says whether one pattern covers another.
    """
    if pattern in {"*", text}:
        return True
    head, middles, tail, shortest = _pieces(pattern)
    if not middles and tail is None:
        return len(text) == shortest and _match_at(head, text, 0)
    if len(text) < shortest or tail is None:
        return False
    if not _match_at(head, text, 0) or not _match_at(tail, text, len(text) - len(tail)):
        return False
    at, end = len(head), len(text) - len(tail)
    for middle in middles:
        at = _find(middle, text, at, end)
        if at < 0:
            return False
        at += len(middle)
    return at <= end


@functools.lru_cache(maxsize=65536)
def _pieces(pattern: str) -> tuple[str, tuple[str, ...], str | None, int]:
    """Split at ``*``: the head, the pieces in between, the tail (None without ``*``), the minimum length."""
    parts = pattern.split("*")
    if len(parts) == 1:
        return pattern, (), None, len(pattern)
    shortest = sum(len(part) for part in parts)
    return parts[0], tuple(part for part in parts[1:-1] if part), parts[-1], shortest


def _match_at(piece: str, text: str, at: int) -> bool:
    """Match a piece without ``*`` at a position; its ``?`` matches any single character except ``*``."""
    if "?" not in piece:
        return text.startswith(piece, at)
    if at + len(piece) > len(text):
        return False
    return all(
        (char == "?" and text[at + index] != "*") or char == text[at + index]
        for index, char in enumerate(piece)
    )


def _find(piece: str, text: str, start: int, end: int) -> int:
    """Return where a piece without ``*`` first matches between two positions, or -1."""
    if "?" not in piece:
        return text.find(piece, start, end)
    return next((at for at in range(start, end - len(piece) + 1) if _match_at(piece, text, at)), -1)


@functools.lru_cache(maxsize=262144)
def overlaps(one: str, other: str) -> bool:
    """Return whether any text matches both patterns."""
    if "*" not in other and "?" not in other:
        return glob(one, other)
    if "*" not in one and "?" not in one:
        return glob(other, one)
    if glob(one, other) or glob(other, one):
        return True
    row = [True] + [False] * len(other)
    for index, char in enumerate(other):
        row[index + 1] = row[index] and char == "*"
    for left in one:
        before, row = row, [row[0] and left == "*"] + [False] * len(other)
        for index, right in enumerate(other):
            if left == "*" or right == "*":
                row[index + 1] = row[index] or before[index + 1]
            else:
                row[index + 1] = before[index] and (left in {right, "?"} or right == "?")
    return row[-1]


def texts(value: Any) -> tuple[str, ...]:
    """Return a JSON scalar or list as texts; booleans and numbers in JSON notation."""
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(
        item if isinstance(item, str) else json.dumps(item) for item in items if not isinstance(item, dict)
    )


def load(document: dict[str, Any] | str) -> dict[str, Any]:
    """Return a document as a dict: JSON text and URL-encoded JSON text are accepted. Raises ValueError."""
    if isinstance(document, dict):
        return document
    if not isinstance(document, str):
        raise ValueError("a policy document is neither an object nor text")  # noqa: TRY004  one error for callers
    text = document if document.lstrip().startswith("{") else unquote(document)
    try:
        loaded = json.loads(text)
    except RecursionError as exc:
        raise ValueError("the policy document is nested too deep") from exc
    if not isinstance(loaded, dict):
        raise ValueError("a policy document is not a JSON object")  # noqa: TRY004
    return loaded


_PARSED: dict[str, PolicyDocument] = {}
_PARSED_MAX = 20_000


def parse(document: dict[str, Any] | str) -> PolicyDocument:
    """Parse a document. Distinct documents are parsed once. Never raises: parts that cannot be parsed are listed in
    ``broken``.
    """
    if isinstance(document, str) and document in _PARSED:
        return _PARSED[document]
    try:
        raw = load(document)
        canonical = json.dumps(raw, sort_keys=True, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError) as exc:
        text = repr(document)
        return PolicyDocument(key=_hash(text), statements=(), variables=True, broken=f"not JSON: {exc}")
    found = _PARSED.get(canonical)
    if found is None:
        if len(_PARSED) >= _PARSED_MAX:
            _PARSED.clear()
        # Parsed in the order of the canonical text, so that equal documents give equal statements.
        found = _PARSED[canonical] = _parse(json.loads(canonical), _hash(canonical))
    return found


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _parse(raw: dict[str, Any], key: str) -> PolicyDocument:
    problems: list[str] = []
    statements: list[Statement] = []
    folded = {str(name).lower(): value for name, value in raw.items()}
    listed = folded.get("statement", [])
    for number, item in enumerate(listed if isinstance(listed, list) else [listed], start=1):
        if not isinstance(item, dict):
            problems.append(f"statement {number} is not an object")
            continue
        try:
            statements.append(_statement(item, number))
        except ValueError as exc:
            problems.append(f"statement {number}: {exc}")
    if not statements and not problems:
        problems.append("it has no statement")
    return PolicyDocument(
        key=key,
        statements=tuple(statements),
        variables=str(folded.get("version", "2008-10-17")) != "2008-10-17",
        broken="; ".join(problems)[:500] or None,
    )


def _statement(item: dict[str, Any], number: int) -> Statement:
    """Parse one statement. Raises ValueError for anything outside the grammar."""
    folded = {str(name).lower(): value for name, value in item.items()}
    known = {
        "sid", "effect", "action", "notaction", "resource", "notresource",
        "principal", "notprincipal", "condition",
    }  # fmt: skip
    extra = set(folded) - known
    if extra:
        raise ValueError(f"unknown element {min(extra)}")
    effect = folded.get("effect")
    if effect not in {"Allow", "Deny"}:
        raise ValueError(f"effect is {effect!r}")
    for one, other in (
        ("action", "notaction"),
        ("resource", "notresource"),
        ("principal", "notprincipal"),
    ):
        if one in folded and other in folded:
            raise ValueError(f"has both {one} and {other}")
    actions = tuple(value.lower() for value in texts(folded.get("action", ())))
    not_actions = tuple(value.lower() for value in texts(folded.get("notaction", ())))
    if not actions and not not_actions:
        raise ValueError("names no action")
    sid = folded.get("sid")
    return Statement(
        label=f"statement '{sid}'" if isinstance(sid, str) and sid else f"statement {number}",
        allow=effect == "Allow",
        actions=actions,
        not_actions=not_actions,
        resources=texts(folded.get("resource", ())),
        not_resources=texts(folded.get("notresource", ())),
        principals=_principals(folded.get("principal")),
        not_principals=_principals(folded.get("notprincipal")),
        conditions=_conditions(folded.get("condition")),
    )


def _principals(value: Any) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if isinstance(value, str | list):
        return tuple(("*" if text == "*" else "AWS", text) for text in texts(value))
    if not isinstance(value, dict):
        raise ValueError("principal is neither text nor object")  # noqa: TRY004
    return tuple(
        ("*" if kind.lower() == "aws" and text == "*" else _KINDS.get(kind.lower(), kind), text)
        for kind, values in ((str(name), values) for name, values in value.items())
        for text in texts(values)
    )


_KINDS = {"aws": "AWS", "service": "Service", "federated": "Federated", "canonicaluser": "CanonicalUser"}


def _conditions(value: Any) -> tuple[Condition, ...]:
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise ValueError("condition is not an object")  # noqa: TRY004
    return tuple(
        _condition(str(operator), block) for operator, block in value.items() for block in _keys(block)
    )


def _keys(block: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(block, dict):
        raise ValueError("a condition operator has no keys")  # noqa: TRY004
    return [(str(key), values) for key, values in block.items()]


def _condition(operator: str, keyed: tuple[str, Any]) -> Condition:
    name = operator.lower()
    qualifier: Literal["", "all", "any"] = ""
    if name.startswith(QUALIFIERS):
        qualifier = "all" if name.startswith("forall") else "any"
        name = name.partition(":")[2]
    if_exists = name.endswith("ifexists")
    return Condition(
        operator=name.removesuffix("ifexists"),
        qualifier=qualifier,
        if_exists=if_exists,
        key=keyed[0].lower(),
        values=texts(keyed[1]),
    )


VARIABLE = re.compile(r"\$\{([^{}]*)\}")
"""A policy variable: ``${aws:username}``, ``${aws:PrincipalTag/team, 'none'}``."""


def variable_names(texts: Iterable[str]) -> set[str]:
    """Return the lower-case names of the policy variables in some texts."""
    return {
        name.partition(",")[0].strip().lower()
        for text in texts
        if "${" in text
        for name in VARIABLE.findall(text)
    }


def substitute(pattern: str, values: dict[str, str | None]) -> tuple[str | None, bool]:
    """Expand policy variables from ``values`` (lower-case names); unknown variables become ``*``. Returns the pattern
    and whether a variable was unknown. A variable known to be absent (None) makes the pattern match nothing: the
    pattern is then None. ``${*}``, ``${?}`` and ``${$}`` are the characters themselves. Source:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    if "${" not in pattern:
        return pattern, False
    unknown = absent = False

    def replace(match: re.Match[str]) -> str:
        nonlocal unknown, absent
        name, _, default = match.group(1).partition(",")
        name = name.strip().lower()
        if name in {"*", "?", "$"}:
            # a literal star cannot be distinguished from a wildcard here; treating it as a wildcard is the safe choice
            return name
        default = default.strip().strip("'")
        value = values.get(name)
        if value is not None:
            return value
        if default and (name in values or name.startswith("aws:principaltag/")):
            return default
        if name in values:
            absent = True
            return ""
        unknown = True
        return "*"

    text = VARIABLE.sub(replace, pattern)
    return (None if absent else text), unknown
