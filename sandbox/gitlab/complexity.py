"""GitLab's complexity score of a GraphQL query.

https://docs.gitlab.com/api/graphql/#limits : at most 250. A field counts 1 plus its subfields; one with a GitLab
resolver counts again for each hundred nodes that it may return.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import FieldNode, IntValueNode, VariableNode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql import DocumentNode, SelectionSetNode

MOST = 250
_RESOLVED = {
    "blobs",
    "branchRules",
    "ciVariables",
    "clusterAgents",
    "pipelineTriggers",
    "projectMembers",
    "projects",
    "runners",
    "services",
    "tokens",
}
_FROM_GIT = {"blobs"}
_PAGE = 100


def complexity(document: DocumentNode, variables: Mapping[str, Any]) -> int:
    """Return the complexity of a query without fragments."""
    return sum(
        _inside(definition.selection_set, variables)
        for definition in document.definitions
        if hasattr(definition, "selection_set")
    )


def _inside(selection: SelectionSetNode | None, variables: Mapping[str, Any]) -> int:
    if selection is None:
        return 0
    return sum(_field(node, variables) for node in selection.selections if isinstance(node, FieldNode))


def _field(node: FieldNode, variables: Mapping[str, Any]) -> int:
    name = node.name.value
    total = 1 + _inside(node.selection_set, variables) + (name in _FROM_GIT)
    if name in _RESOLVED:
        total += int(total * min(_first(node, variables), _PAGE) * 0.01)
    return total


def _first(node: FieldNode, variables: Mapping[str, Any]) -> int:
    for argument in node.arguments or ():
        if argument.name.value == "first":
            value = argument.value
            if isinstance(value, IntValueNode):
                return int(value.value)
            if isinstance(value, VariableNode):
                return int(variables[value.name.value])
    return _PAGE
