"""``${{ if }}`` and ``${{ each }}`` of Azure Pipelines, where the file and its parameters decide them.

https://learn.microsoft.com/azure/devops/pipelines/process/template-expressions. A condition about anything else, such as a
variable of the run, keeps all its branches.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.yaml_nodes import Mapping, Scalar, Sequence, mapping, replaced, scalars

if TYPE_CHECKING:
    from collectors.definitions.yaml_nodes import Node

_STATEMENT = re.compile(r"\$\{\{\s*(?P<word>if|elseif|else|each)\b\s*(?P<rest>.*?)\s*\}\}:?", re.DOTALL)
_EACH = re.compile(r"(?P<name>\w+)\s+in\s+parameters\.(?P<list>\w+)")
_CALL = re.compile(r"(?P<name>eq|ne|and|or|not|in|notIn)\((?P<inner>.*)\)", re.DOTALL | re.IGNORECASE)
_PARAMETER = re.compile(r"parameters(?:\.(?P<dot>[\w-]+)|\['(?P<quoted>[^']+)'\])")
_MOST_ITEMS = 50
_MOST_NODES = 50_000
_LEVELS = 40


def resolve(node: Node, values: dict[str, Node]) -> Node:
    """Return a template with its known conditions decided and its known lists written out. ``values``: parameter, in lower
    case, to its value.
    """
    return _Resolver(values).node(node, 0)


def defaults_of(root: Mapping) -> dict[str, Node]:
    """Return the parameters of a file that have a default, by name in lower case."""
    declared = root.get("parameters")
    if isinstance(declared, Mapping):  # the old form: name and default
        return {key.text.lower(): value for key, value in declared.pairs}
    found: dict[str, Node] = {}
    for item in declared.items if isinstance(declared, Sequence) else []:
        name, default = mapping(item).get("name"), mapping(item).get("default")
        if isinstance(name, Scalar) and default is not None:
            found[name.text.lower()] = default
    return found


class _Resolver:
    def __init__(self, values: dict[str, Node]) -> None:
        self.values = values
        self.made = 0

    def node(self, node: Node, depth: int) -> Node:
        self.made += 1
        if depth > _LEVELS or self.made > _MOST_NODES:
            return node
        match node:
            case Scalar():
                return node
            case Sequence():
                found: list[Node] = []
                decided: bool | None = False
                for item in node.items:
                    statement = _statement(item)
                    if statement is None:
                        found.append(self.node(item, depth + 1))
                        continue
                    decided, bodies = self._decide(item, statement, decided, depth)
                    for body in bodies:
                        found += body.items if isinstance(body, Sequence) else [body]
                return Sequence(found, node.line, node.column, node.tag)
            case Mapping():
                return self._mapping(node, depth)

    def _mapping(self, node: Mapping, depth: int) -> Mapping:
        pairs: list[tuple[Scalar, Node]] = []
        decided: bool | None = False
        for key, value in node.pairs:
            statement = _STATEMENT.fullmatch(key.text.strip())
            if statement is None:
                pairs.append((key, self.node(value, depth + 1)))
                continue
            single = Mapping([(key, value)], key.line, key.column, None)
            decided, bodies = self._decide(single, statement, decided, depth)
            for body in bodies:
                pairs += body.pairs if isinstance(body, Mapping) else [(key, value)]
        return Mapping(pairs, node.line, node.column, node.tag)

    def _decide(
        self, item: Node, statement: re.Match[str], before: bool | None, depth: int
    ) -> tuple[bool | None, list[Node]]:
        """Return whether the chain of a condition is decided after this branch, and what the branch becomes."""
        key, body = mapping(item).pairs[0]
        kept = Mapping([(key, self.node(body, depth + 1))], key.line, key.column, None)
        word = statement["word"].lower()
        if word == "each":
            return False, self._each(statement["rest"], body, depth) or [kept]
        if word == "if":
            before = False
        if before is True:
            return True, []
        value = True if word == "else" else _value(statement["rest"].strip(), self.values, 0)
        if value is False:
            return before, []
        if value is True and before is False:
            return True, [self.node(body, depth + 1)]
        return None, [kept]

    def _each(self, rest: str, body: Node, depth: int) -> list[Node] | None:
        match = _EACH.fullmatch(rest.strip())
        held = self.values.get(match["list"].lower()) if match else None
        if match is None or held is None or isinstance(held, Scalar):
            return None
        if isinstance(held, Sequence):
            choices = [_parts(match["name"], item) for item in held.items]
        else:
            choices = [
                {f"{match['name']}.key": key.text}
                | {
                    f"{match['name']}.value{name[len('value') :]}": given
                    for name, given in _parts("value", value).items()
                }
                for key, value in held.pairs
            ]
        cost = len(choices) * sum(1 for _ in scalars(body))
        if len(choices) > _MOST_ITEMS or self.made + cost > _MOST_NODES:
            return None
        self.made += cost
        return [self.node(_with(body, parts), depth + 1) for parts in choices]


def _statement(item: Node) -> re.Match[str] | None:
    pairs = mapping(item).pairs
    return _STATEMENT.fullmatch(pairs[0][0].text.strip()) if len(pairs) == 1 else None


def _parts(name: str, item: Node) -> dict[str, str]:
    """Return the texts of an item of a list, by how an expression reads them: ``region``, ``region.name``."""
    if isinstance(item, Scalar):
        return {name: item.text}
    return {
        f"{name}.{key.text}": value.text for key, value in mapping(item).pairs if isinstance(value, Scalar)
    }


def _with(body: Node, parts: dict[str, str]) -> Node:
    """Return the body of a loop for one item."""
    if not parts:
        return body
    reads = re.compile(r"\$\{\{\s*(?P<name>" + "|".join(re.escape(name) for name in sorted(parts, key=len, reverse=True)) + r")\s*\}\}")  # fmt: skip
    return replaced(
        body, lambda text: reads.sub(lambda match: parts[match["name"]], text) if "${{" in text else text
    )


def _value(body: str, values: dict[str, Node], depth: int) -> bool | None:
    """Return the value of a condition; None if it depends on something else."""
    if depth > 10 or len(body) > 2_000:
        return None
    call = _CALL.fullmatch(body)
    if call is None:
        text = _text(body, values)
        return None if text is None else text.lower() not in {"", "false", "0"}
    arguments = _arguments(call["inner"])
    match call["name"].lower():
        case "not":
            inner = _value(arguments[0], values, depth + 1)
            return None if inner is None else not inner
        case "and" | "or" as word:
            found = [_value(one, values, depth + 1) for one in arguments]
            wins = word == "or"
            if wins in found:
                return wins
            return None if None in found else not wins
        case name:
            texts = [_text(one, values) for one in arguments]
            if None in texts or len(texts) < 2:
                return None
            equal = (texts[0] or "").lower() in {(one or "").lower() for one in texts[1:]}
            return equal if name in {"eq", "in"} else not equal


def _text(body: str, values: dict[str, Node]) -> str | None:
    body = body.strip()
    if len(body) >= 2 and body[0] == body[-1] == "'":
        return body[1:-1].replace("''", "'")
    if re.fullmatch(r"(?i)true|false|-?\d+", body):
        return body
    match = _PARAMETER.fullmatch(body)
    held = values.get((match["dot"] or match["quoted"]).lower()) if match else None
    return held.text if isinstance(held, Scalar) and "$" not in held.text else None


def _arguments(inner: str) -> list[str]:
    """Split at commas outside brackets and quotes."""
    parts, depth, start, quoted = [], 0, 0, False
    for at, sign in enumerate(inner):
        if sign == "'":
            quoted = not quoted
        elif not quoted and sign == "(":
            depth += 1
        elif not quoted and sign == ")":
            depth -= 1
        elif not quoted and depth == 0 and sign == ",":
            parts.append(inner[start:at].strip())
            start = at + 1
    return [*parts, inner[start:].strip()]
