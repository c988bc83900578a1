"""Secrets and variables that a workflow reads by name, or all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.definitions.definition import Reference
from collectors.definitions.github.expressions import expressions, paths, position
from collectors.definitions.yaml_nodes import Mapping, Sequence, mapping, scalars

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.definition import Scope
    from collectors.definitions.yaml_nodes import Node


def references(
    node: Node, scope: Scope, *, job: str | None, environment: str | None
) -> Iterator[tuple[str, Reference]]:
    """Yield the references below a node, each with its store: ``secrets`` or ``vars``. Each step of a job is
    separate.
    """
    steps = mapping(node).get("steps") if scope == "job" else None
    parts: list[tuple[Scope, Node]] = [(scope, node)]
    if isinstance(node, Mapping) and isinstance(steps, Sequence) and steps.items:
        rest = [(key, value) for key, value in node.pairs if value is not steps]
        parts = [(scope, Mapping(rest, node.line, node.column, None))]
        parts += [("step", step) for step in steps.items]
    for where, part in parts:
        for key, scalar in scalars(part):
            bare = key is not None and key.text == "if" and "${{" not in scalar.text
            bodies = (
                [(scalar.text, 0)]
                if bare
                else [(found.body, found.start + 3) for found in expressions(scalar.text)]
                if "${{" in scalar.text
                else []
            )
            for body, start in bodies:
                for store, name, via, offset in _read(body):
                    line, column = position(scalar, start + offset)
                    yield (
                        store,
                        Reference(
                            name=name,
                            line=line,
                            column=column,
                            scope=where,
                            job=job,
                            environment=environment,
                            via=via,
                        ),
                    )


def _read(body: str) -> Iterator[tuple[str, str, str, int]]:
    """Yield store, name, kind of access and offset of each reference in an expression."""
    for path, offset in paths(body):
        store, _, name = path.partition(".")
        if store not in {"secrets", "vars"}:
            continue
        if name == "[]":
            yield store, "*", "index", offset
        elif name in {"", "*"}:
            yield store, "*", "toJSON", offset
        else:
            yield store, name, "name", offset
