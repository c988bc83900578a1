"""What a caller passes to a reusable workflow or action, put in the place of its inputs and secrets.

https://docs.github.com/en/actions/how-tos/reuse-automations/reuse-workflows and
https://docs.github.com/en/actions/reference/workflows-and-actions/metadata-syntax#inputs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from collectors.definitions.github.conditions import split_outside
from collectors.definitions.github.expressions import Expression, expressions
from collectors.definitions.yaml_nodes import Mapping, Scalar, Sequence

if TYPE_CHECKING:
    from collectors.definitions.yaml_nodes import Node

_READ = re.compile(
    r"'(?:[^']|'')*+'|(?<![\w.-])(?P<root>inputs|secrets|steps)(?:\s*\.\s*(?P<dot>[\w-]+)|\s*\[\s*'(?P<quoted>[^']{1,200})'\s*\])",
    re.IGNORECASE,
)
_LITERAL = re.compile(r"true|false|-?\d+(?:\.\d+)?")
_LONGEST = 20_000


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """The values of one call."""

    inputs: dict[str, str] = {}
    """Input, in lower case, to its value as text, expressions included."""
    secrets: dict[str, str] | None = None
    """Secret, in upper case, to its value; None if they have the same names in the caller."""
    others: bool = False
    """Whether secrets that the caller does not pass exist: those of the job's environment."""
    kept: frozenset[str] = frozenset()
    """Inputs that stay as they are, because only the run knows their value."""
    steps: str = ""
    """A prefix for the ids of an action's own steps."""
    offset: int = 0
    """Added to every line."""

    def node(self, node: Node, *, is_condition: bool = False) -> Node:
        """Return a node with the values in place."""
        match node:
            case Mapping():
                pairs = [
                    (
                        Scalar(key.text, key.line + self.offset, key.column, key.tag, key.style),
                        self.node(value, is_condition=key.text == "if"),
                    )
                    for key, value in node.pairs
                ]
                if self.steps and ("run" in node or "uses" in node):
                    pairs = [(key, _named(key, value, self.steps)) for key, value in pairs]
                return Mapping(pairs, node.line + self.offset, node.column, node.tag)
            case Sequence():
                found = [self.node(item) for item in node.items]
                return Sequence(found, node.line + self.offset, node.column, node.tag)
            case Scalar():
                text = (
                    self.body(node.text) if is_condition and "${{" not in node.text else self.text(node.text)
                )
                return Scalar(text, node.line + self.offset, node.column, node.tag, node.style)

    def text(self, text: str) -> str:
        """Return a text with the values in place."""
        if "${{" not in text:
            return text
        parts: list[str] = []
        at = 0
        for found in expressions(text):
            end = found.start + len(found.body) + 5
            value = self._whole(found, alone=found.start == 0 and end == len(text))
            parts += [text[at : found.start], f"${{{{{self.body(found.body)}}}}}" if value is None else value]
            at = end
        made = "".join([*parts, text[at:]])
        return made if len(made) <= _LONGEST + len(text) else text

    def _whole(self, found: Expression, *, alone: bool) -> str | None:
        """Return the value of an expression that is nothing but an input or secret."""
        match = _READ.fullmatch(found.body.strip())
        if match is None or match["root"] is None:
            return None
        value = self._value(match)
        return value if value is None or alone else value.replace("\n", " ")

    def body(self, body: str) -> str:
        """Return an expression with the values in place."""

        def read(match: re.Match[str]) -> str:
            if match["root"] is None:
                return match.group()
            if match["root"].lower() == "steps":
                return f"steps.{self.steps}{match['dot'] or match['quoted']}" if self.steps else match.group()
            value = self._value(match)
            return match.group() if value is None else _as_expression(value)

        made = _READ.sub(read, body)
        return made if len(made) <= _LONGEST else body

    def _value(self, match: re.Match[str]) -> str | None:
        """Return the value that an expression reads; None if it stays as it is."""
        root, name = match["root"].lower(), match["dot"] or match["quoted"]
        if root == "inputs":
            return None if name.lower() in self.kept else self.inputs.get(name.lower())
        if root == "steps" or self.secrets is None or name.upper() == "GITHUB_TOKEN":
            return None
        return self.secrets.get(name.upper(), None if self.others else "")


def _named(key: Scalar, value: Node, prefix: str) -> Node:
    if key.text != "id" or not isinstance(value, Scalar):
        return value
    return Scalar(prefix + value.text, value.line, value.column, value.tag, value.style)


def _as_expression(value: str) -> str:
    """Return a text as a part of an expression."""
    found = list(expressions(value))
    if not found:
        stripped = value.strip()
        return stripped if _LITERAL.fullmatch(stripped) else "'" + value.replace("'", "''") + "'"
    if len(found) == 1 and found[0].start == 0 and len(found[0].body) + 5 == len(value):
        body = found[0].body.strip()
        return body if re.fullmatch(r"[\w.-]+", body) else f"({body})"
    bodies = ", ".join(one.body.strip() for one in found)
    return f"format('', {bodies})"


_QUOTED = re.compile(r"'((?:[^']|'')*)'")


def is_never(body: str) -> bool:
    """Return whether a condition is false whatever happens: its values are literal."""
    return _constant(body.strip(), 0) is False


def _constant(body: str, depth: int) -> bool | None:
    """Return the value of a condition of literals; None if it is not constant."""
    if depth > 10 or len(body) > 2_000:
        return None
    for sign, wins in (("||", True), ("&&", False)):
        parts = list(split_outside(body, sign))
        if len(parts) > 1:
            values = [_constant(part, depth + 1) for part in parts]
            if wins in values:
                return wins
            return None if None in values else not wins
    if body.startswith("!") and not body.startswith("!="):
        inner = _constant(body[1:].strip(), depth + 1)
        return None if inner is None else not inner
    if body.startswith("(") and body.endswith(")") and ")" not in body[1:-1]:
        return _constant(body[1:-1].strip(), depth + 1)
    sign = "==" if "==" in body else "!="
    first, compared, second = body.partition(sign)
    if compared:
        left, right = _literal(first), _literal(second)
        # GitHub compares texts without regard to case.
        return None if left is None or right is None else (left.lower() == right.lower()) == (sign == "==")
    value = _literal(body)
    return None if value is None else value not in {"", "false", "0"}


def _literal(text: str) -> str | None:
    quoted = _QUOTED.fullmatch(text.strip())
    if quoted is not None:
        return quoted[1].replace("''", "'")
    return text.strip() if _LITERAL.fullmatch(text.strip()) else None
