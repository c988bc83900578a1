"""Triggers of a GitHub workflow, with git refs and inputs.

https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.definitions.yaml_nodes import Mapping, mapping, text, texts

if TYPE_CHECKING:
    from collectors.definitions.yaml_nodes import Node

DANGEROUS = (
    "pull_request_target",
    "workflow_run",
    "issue_comment",
    "issues",
    "discussion",
    "discussion_comment",
    "pull_request_review",
    "pull_request_review_comment",
    "fork",
    "watch",
)
"""Events that untrusted users can cause and that run with the repository's secrets; most dangerous first."""


def triggers_of(node: Node | None) -> dict[str, list[str]]:
    """Return event to git refs. An event without a filter has an empty list, which means any ref."""
    if isinstance(node, Mapping):
        return {key.text: _refs(mapping(value)) for key, value in node.pairs}
    return {event: [] for event in texts(node)}


def activities_of(node: Node | None) -> dict[str, list[str]]:
    """Return event to its activity types."""
    return {key.text: texts(mapping(value).get("types")) for key, value in mapping(node).pairs}


def _refs(filters: Mapping) -> list[str]:
    refs = [f"refs/heads/{_glob(value)}" for value in texts(filters.get("branches")) if value[:1] != "!"]
    refs += [f"refs/tags/{_glob(value)}" for value in texts(filters.get("tags")) if value[:1] != "!"]
    if not refs and ("branches-ignore" in filters) != ("tags-ignore" in filters):
        refs = ["refs/heads/*"] if "branches-ignore" in filters else ["refs/tags/*"]
    return refs


def _glob(pattern: str) -> str:
    """Return a branch filter as a pattern with only ``*``; other special characters are widened to it."""
    out: list[str] = []
    for sign in pattern:
        star = sign in "*?+[]"
        if not star:
            out.append(sign)
        elif not out or out[-1] != "*":
            out.append("*")
    return "".join(out)


def inputs_of(root: Mapping) -> dict[str, str]:
    """Return the inputs of workflow_call and workflow_dispatch with their type; ``string`` by default."""
    inputs: dict[str, str] = {}
    on = mapping(root.get("on"))
    for event in ("workflow_call", "workflow_dispatch"):
        for key, value in mapping(mapping(on.get(event)).get("inputs")).pairs:
            inputs[key.text] = text(mapping(value).get("type")) or "string"
    return inputs
