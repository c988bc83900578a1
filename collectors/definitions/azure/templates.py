"""Template expressions of Azure Pipelines, as far as they can be resolved without evaluation.

https://learn.microsoft.com/azure/devops/pipelines/process/template-expressions: every branch of ``${{ if }}`` and the
body of ``${{ each }}`` is read, since any of them may apply.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.yaml_nodes import Mapping, items, mapping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.yaml_nodes import Node, Scalar

_NAME = re.compile(
    r"\$\{\{\s*(?P<store>variables|parameters)(?:\.(?P<dot>[\w.-]+)|\['(?P<index>[^']+)'\])\s*\}\}|\$\[\s*variables(?:\.(?P<run>[\w.-]+)|\['(?P<quoted>[^']+)'\])\s*\]"
    r"|\$\((?P<macro>[\w. -]+)\)"
)
_STEP_KEYS = frozenset(
    ("task", "script", "bash", "pwsh", "powershell", "checkout", "template", "publish", "download")
)


def expanded(node: Node | None) -> Iterator[Node]:
    """Yield the items of a list, including those in ``${{ if }}`` and ``${{ each }}``."""
    stack = list(reversed(items(node)))
    while stack:
        item = stack.pop()
        held = [value for key, value in mapping(item).pairs if key.text.startswith("${{")]
        if not held:
            yield item
        for value in reversed(held):
            stack.extend(reversed(items(value)))


def pairs(node: Node | None) -> Iterator[tuple[Scalar, Node]]:
    """Yield the pairs of a mapping, including those in ``${{ if }}``."""
    stack = list(reversed(mapping(node).pairs))
    while stack:
        key, value = stack.pop()
        if not key.text.startswith("${{"):
            yield key, value
        elif isinstance(value, Mapping):
            stack.extend(reversed(value.pairs))


def kind_of(node: Node) -> str | None:
    """Return what a list passed to a template contains: ``stages``, ``jobs`` or ``steps``; None for anything else."""
    for item in expanded(node):
        if not isinstance(item, Mapping):
            return None
        if "stage" in item:
            return "stages"
        if "job" in item or "deployment" in item:
            return "jobs"
        if any(key.text in _STEP_KEYS for key, _ in item.pairs):
            return "steps"
    return None


def substituted(text: str, variables: dict[str, str], parameters: dict[str, str]) -> str:
    """Substitute variables of the file and defaults of its parameters; names are in lower case."""
    if "$" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        name = (
            (match["dot"] or match["index"] or match["run"] or match["quoted"] or match["macro"])
            .strip()
            .lower()
        )
        known = (parameters if match["store"] == "parameters" else variables).get(name, "")
        return known if known and len(known) <= 300 else match.group()

    for _ in range(3):
        once = _NAME.sub(value, text)
        if once == text or len(once) > 10_000:
            break
        text = once
    return text
