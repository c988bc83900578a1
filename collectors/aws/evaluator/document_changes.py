"""Changes of policy documents: one action, one condition or one principal at a time. The other statements stay as they are.

Every function takes a document as JSON text in the format of `Policy.document` and returns the changed one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from collectors.aws.evaluator.policy import glob, overlaps, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collectors.aws.evaluator.trust_verdict import TrustChange

Statement = dict[str, Any]


class Change(Protocol):
    """Changes a document; None for a new one."""

    def __call__(self, document: str | None, /) -> str: ...  # noqa: D102


def allowing(actions: Sequence[str]) -> str:
    """Return a document that allows actions on everything."""
    return _written(
        {"Version": "2012-10-17"}, [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]
    )


def _statements(document: dict[str, Any]) -> list[Statement]:
    listed = document.get("Statement", [])
    return list(listed) if isinstance(listed, list) else [listed]


def _written(document: dict[str, Any], statements: Sequence[Statement]) -> str:
    changed = {**document, "Statement": list(statements)}
    return json.dumps(changed, sort_keys=True, separators=(",", ":"))


def with_deny(document: str | None, actions: Iterable[str], resource: str) -> str:
    """Add a Deny to a document; None for a new document."""
    before: dict[str, Any] = {"Version": "2012-10-17"} if document is None else json.loads(document)
    statements = [] if document is None else _statements(before)
    return _written(
        before, [*statements, {"Effect": "Deny", "Action": sorted(actions), "Resource": resource}]
    )


def without_actions(document: str, actions: Iterable[str], resource: str) -> str | None:
    """Remove actions on a resource (``*`` for all) from the statements that name them. Returns None if that cannot be
    done exactly: a wildcard or NotAction gives more than these actions, or a pattern more than this resource. A document
    without a statement is valid nowhere: its policy is to be deleted.
    """
    before = json.loads(document)
    gone = {action.lower() for action in actions}
    kept: list[Statement] = []
    for statement in _statements(before):
        if statement.get("Effect") != "Allow":
            kept.append(statement)
            continue
        named = texts(statement.get("Action", ()))
        if "NotAction" in statement or "NotResource" in statement:
            return None
        hit = [name for name in named if any(glob(name.lower(), one) for one in gone)]
        resources = texts(statement.get("Resource", ()))
        touched = [one for one in resources if resource == "*" or overlaps(one, resource)]
        if not hit or not touched:
            kept.append(statement)
            continue
        if any(name.lower() not in gone for name in hit):
            return None
        if resource != "*" and any(one != resource for one in touched):
            return None
        rest = [name for name in named if name not in hit]
        others = [one for one in resources if one not in touched]
        if others:
            kept.append({**statement, "Action": hit, "Resource": others})
        if rest:
            kept.append({**statement, "Action": rest})
    return _written(before, kept)


def is_empty(document: str) -> bool:
    """Return whether a document has no statement left."""
    return not _statements(json.loads(document))


def _without(principals: Any, kind: str, value: str) -> Any:
    """Return a Principal element without one of its principals; None if none is left."""
    if kind == "*" or isinstance(principals, str):
        kind = "AWS" if isinstance(principals, dict) else kind
        if isinstance(principals, str):
            return None
    left = {
        name: [one for one in texts(values) if name != kind or one != value]
        for name, values in principals.items()
    }
    kept = {name: values for name, values in left.items() if values}
    return kept or None


def without_principal(document: str, number: int, principal: tuple[str, str]) -> str:
    """Remove a principal from the statement ``number`` (from 1), and a statement that then has none. The last statement
    becomes a Deny, because a role must have a trust policy.
    """
    before = json.loads(document)
    statements = _statements(before)
    statement = statements[number - 1]
    left = _without(statement.get("Principal", {}), *principal)
    if left is not None:
        statements[number - 1] = {**statement, "Principal": left}
    elif len(statements) > 1:
        del statements[number - 1]
    else:
        statements = [{**statement, "Effect": "Deny"}]
    return _written(before, statements)


def with_condition(
    document: str, number: int, principal: tuple[str, str], change: TrustChange, values: Sequence[str]
) -> str:
    """Pin a key for one principal of the statement ``number`` (from 1): other conditions on the key in the same statement
    go, and other principals get a statement of their own without the change.
    """
    before = json.loads(document)
    statements = _statements(before)
    statement = statements[number - 1]
    rest = _without(statement.get("Principal", {}), *principal)
    conditions = {
        operator: kept
        for operator, block in statement.get("Condition", {}).items()
        if (kept := {key: value for key, value in block.items() if key.lower() != change.key.lower()})
    }
    block = dict(conditions.get(change.operator, {}))
    block[change.key] = values[0] if len(values) == 1 else list(values)
    conditions[change.operator] = block
    changed = {**statement, "Condition": conditions}
    if rest is not None:
        kind, value = principal
        changed["Principal"] = {"AWS" if kind == "*" else kind: value}
        changed.pop("Sid", None)
        statements.insert(number, {**statement, "Principal": rest})
    statements[number - 1] = changed
    return _written(before, statements)


def with_wildcards(document: str, number: int) -> str:
    """Compare values that contain a wildcard with StringLike instead of StringEquals in the statement ``number``."""
    before = json.loads(document)
    statements = _statements(before)
    conditions = dict(statements[number - 1].get("Condition", {}))
    literal = dict(conditions.pop("StringEquals", {}))
    wild = {key: value for key, value in literal.items() if any("*" in one for one in texts(value))}
    like = {**conditions.get("StringLike", {}), **wild}
    exact = {key: value for key, value in literal.items() if key not in wild}
    conditions |= {name: block for name, block in (("StringEquals", exact), ("StringLike", like)) if block}
    statements[number - 1] = {**statements[number - 1], "Condition": conditions}
    return _written(before, statements)
