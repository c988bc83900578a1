"""Microsoft's own examples, labeled before the collectors had seen them, and what is made of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from collectors._microsoft.federated import trust_of
from collectors.azure.evaluator.conditions import ASSIGN, Sure, condition
from collectors.azure.evaluator.roles import allowed, role_of
from collectors.entra.powers import GRAPH, of_permission
from sandbox.entra.estate import TENANT
from scanner.policies import canonical_document, policy_record
from scanner.records import level_of

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parent / "data" / "microsoft_examples.yaml").read_text(encoding="utf-8")
)
SURE = {"no": Sure.NO, "maybe": Sure.MAYBE, "yes": Sure.YES}


def cases(part: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in EXAMPLES[part]]


@pytest.mark.parametrize("case", cases("roles"))
def test_what_a_built_in_role_amounts_to(case: dict[str, Any]) -> None:
    element = {
        "actions": case.get("actions", []),
        "notActions": case.get("not_actions", []),
        "dataActions": case.get("data", []),
        "notDataActions": [],
    }
    powers = set(allowed(role_of(json.dumps({"permissions": [element]}))).powers)
    assert set(case["has"]) <= powers
    assert not set(case["lacks"]) & powers


def bound() -> Iterator[Any]:
    """Yield each condition with an action, the role that is assigned by it, and how sure it is."""
    for case in EXAMPLES["conditions"]:
        for role, sure in case.get("assigns", {}).items():
            yield pytest.param(case["text"], ASSIGN, role, sure, id=f"{case['name']}-{role[:8]}-{sure}")
        for action, sure in case.get("data", {}).items():
            yield pytest.param(case["text"], action, None, sure, id=f"{case['name']}-{action.rpartition('/')[2]}-{sure}")


@pytest.mark.parametrize(("text", "action", "role", "sure"), bound())
def test_what_a_condition_lets_through(text: str, action: str, role: str | None, sure: str) -> None:
    found = condition(text).allows(action, role.lower() if role else None, data=action != ASSIGN)
    assert found is SURE[sure]


@pytest.mark.parametrize("case", cases("trusts"))
def test_how_wide_a_federated_credential_is(case: dict[str, Any]) -> None:
    document: dict[str, Any] = {"issuer": case["issuer"], "audiences": ["api://AzureADTokenExchange"]}
    if "expression" in case:
        document["claimsMatchingExpression"] = {"languageVersion": 1, "value": case["expression"]}
    else:
        document["subject"] = case["subject"]
    policy = policy_record(
        provider="entra", account_id="t", kind="federated-credential", native_id="n", name="n",
        document=canonical_document(document), attached_to=["i"],
    )  # fmt: skip
    assert trust_of(policy, TENANT).exposure == case["exposure"]


@pytest.mark.parametrize("case", cases("permissions"))
def test_what_a_permission_of_graph_amounts_to(case: dict[str, Any]) -> None:
    assert level_of(of_permission(GRAPH, case["name"]).powers) == case["level"]
