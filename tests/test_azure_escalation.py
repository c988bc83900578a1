"""Every way of escalations.yaml: open when all of it is there, closed when any part is missing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from collectors.azure.evaluator import Estate, RoleEvaluator
from collectors.azure.evaluator.denies import EVERYONE, deny_of
from collectors.azure.evaluator.ways import Way, lists, ways
from collectors.azure.records import stored_policy
from collectors.azure.scope import resource_id
from sandbox.azure.tenant import element
from sandbox.estate import FIRST_NIGHT
from scanner.records import Account, Control, Grant, Identity, Link

if TYPE_CHECKING:
    from scanner.records import Enforcement, Record

SUBSCRIPTION = "/subscriptions/s1"
GROUP = f"{SUBSCRIPTION}/resourceGroups/g"
WAYS = {way.id: way for way in ways()}
OPPOSITE: dict[Enforcement, Enforcement] = {"enforced": "absent", "absent": "enforced"}


def account(name: str, parent: str | None) -> Account:
    return Account(
        id=name, provider="azure", account_id=name, kind="azure-subscription", native_id=name, name=name, parent_id=parent
    )  # fmt: skip


def runner(kind: str, group: str = GROUP) -> list[Record]:
    """Return a resource with an identity."""
    address = f"{group}/providers/{kind}/it"
    identity = Identity(
        id=resource_id(address), provider="azure", account_id="azure:subscription:s1", surface="workload",
        kind="azure-resource", native_id=address, name="it", address=address, tags={"resource_type": kind},
    )  # fmt: skip
    link = Link(
        id="l", provider="azure", account_id="a", source_id=identity.id, relation="runs_as", target_id="entra:principal:p"
    )  # fmt: skip
    return [identity, link]


def control(kind: str, enforcement: Enforcement, group: str = GROUP) -> Control:
    return Control(
        id=f"{kind}{enforcement}", provider="azure", account_id="a", stage="runtime", kind=kind, name="x",
        enforcement=enforcement, target=resource_id(f"{group}/providers/x/y/{enforcement}"),
    )  # fmt: skip


def settings(way: Way, *, is_open: bool) -> list[Record]:
    """Return resources whose settings open a way, or close it."""
    return [
        *(control(kind, value if is_open else OPPOSITE[value]) for kind, value in way.only_where.items()),
        *(control(kind, OPPOSITE[value] if is_open else value) for kind, value in way.not_where.items()),
    ]


def role_actions(way: Way) -> list[str]:
    return [way.actions[0], *(others[0] for others in way.also)]


def outcome(
    actions: list[str],
    *,
    data: bool = False,
    at: str = GROUP,
    records: list[Record] | None = None,
    cut: list[str] | None = None,
    denied: bool = False,
) -> tuple[set[str], set[str]]:
    """Return the ways that a role opens at a scope, and the resources that its holder can become."""
    given = element([], data=actions) if data else element(actions, cut)
    if data:
        given["notDataActions"] = cut or []
    role = stored_policy("role-definition", "t", "r", "It", document={"permissions": [given]}, to=[])
    field = "dataActions" if data else "actions"
    document: dict[str, Any] = {
        "scope": SUBSCRIPTION, "principals": [{"id": EVERYONE}], "denyAssignmentEffect": "enforced",
        "permissions": [{field: actions}],
    }  # fmt: skip
    deny = deny_of(document) if denied else None
    estate = Estate()
    for record in [
        account("azure:subscription:s1", "azure:management-group:m"),
        account("azure:subscription:s2", "azure:management-group:other"),
        account("azure:management-group:m", "azure:tenant:t"),
        *(records or []),
    ]:
        estate.add(record)
    evaluator = RoleEvaluator(estate, [role], [deny] if deny else [], FIRST_NIGHT.date())
    grant = Grant(
        id="g", provider="azure", account_id="a", identity_id="entra:principal:h", role="It", resource=at,
        breadth="group",
    )  # fmt: skip
    found = evaluator.allowed(grant, None)
    return {way.id for way, _ in found.ways}, {link.target_id for link in evaluator.links(grant, found)}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_way_is_open_where_all_of_it_is_there(way: Way) -> None:
    target = runner(way.runs_on[0]) if way.runs_on else []
    opened, become = outcome(
        role_actions(way), data=way.data, records=[*target, *settings(way, is_open=True)]
    )
    if way.until is not None:
        assert way.id not in opened, "its service was retired"
        return
    assert way.id in opened
    assert become == {record.id for record in target if isinstance(record, Identity)}


@pytest.mark.parametrize("way", [way for way in WAYS.values() if way.until is None], ids=lambda way: way.id)
def test_each_action_of_a_way_opens_it(way: Way) -> None:
    also = [others[0] for others in way.also]
    for action in way.actions:
        opened, _ = outcome([action, *also], data=way.data, records=settings(way, is_open=True))
        assert way.id in opened, action
    for others in way.also:
        for action in others:
            rest = [one[0] for one in way.also if one is not others]
            opened, _ = outcome([way.actions[0], action, *rest], data=way.data)
            assert way.id in opened, action


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_look_alike_opens_nothing(way: Way) -> None:
    around = settings(way, is_open=True)
    actions = role_actions(way)
    assert way.id not in outcome(actions, data=way.data, records=around, cut=list(way.actions))[0]
    assert way.id not in outcome(actions, data=way.data, records=around, denied=True)[0]
    # The same name as the other sort of action.
    assert way.id not in outcome(actions, data=not way.data, records=around)[0]
    reads = [f"{action.rpartition('/')[0]}/read" for action in actions]
    assert way.id not in outcome(reads, data=way.data, records=around)[0]
    for missing in range(1, len(actions)):
        part = actions[:missing] + actions[missing + 1 :]
        assert way.id not in outcome(part, data=way.data, records=around)[0]
    if way.only_where or way.not_where:
        assert way.id not in outcome(actions, data=way.data, records=settings(way, is_open=False))[0]


@pytest.mark.parametrize(
    "way", [way for way in WAYS.values() if way.runs_on and not way.until], ids=lambda way: way.id
)
def test_only_what_lies_at_the_scope_is_reached(way: Way) -> None:
    actions = role_actions(way)
    target = runner(way.runs_on[0])
    reached = {resource_id(f"{GROUP}/providers/{way.runs_on[0]}/it")}
    around = [*target, *settings(way, is_open=True)]

    def become(at: str) -> set[str]:
        return outcome(actions, data=way.data, at=at, records=around)[1]

    group = "/providers/Microsoft.Management/managementGroups/"
    for above in ("/", f"{group}m", SUBSCRIPTION, GROUP.upper(), f"{GROUP}/providers/{way.runs_on[0]}/IT"):
        assert become(above) == reached, above
    for beside in (
        f"{group}other",
        "/subscriptions/s2",
        "/subscriptions/s",
        f"{GROUP}2",
        f"{GROUP}/providers/x/y/it",
    ):
        assert become(beside) == set(), beside
    # Without an identity there is nobody to become; another type is not reached.
    assert outcome(actions, data=way.data, records=target[:1])[1] == set()
    assert outcome(actions, data=way.data, records=runner("microsoft.other/things"))[1] == set()


def test_sources_and_actions_are_named_once_and_fully() -> None:
    assert all(re.fullmatch(r"https://(learn\.microsoft\.com)/\S+", way.source) for way in WAYS.values())
    for way in WAYS.values():
        for action in (*way.actions, *(action for others in way.also for action in others)):
            assert re.fullmatch(r"Microsoft\.[A-Za-z.]+(/[\w.]+)+", action), action
    assert len(WAYS) == len(ways())
    # A way that makes keys readable is not listed twice.
    named = {action.lower() for actions in lists().actions.values() for action in actions}
    read = {action.lower() for way in ways() if way.power == "read-secrets" for action in way.actions}
    assert named & read == set()


@pytest.mark.parametrize(
    ("second", "reached"),
    [
        ("h", {resource_id(f"{GROUP}/providers/microsoft.managedidentity/userassignedidentities/it")}),
        ("other", set()),
    ],
)
def test_two_roles_of_one_principal_open_a_way_together(second: str, reached: set[str]) -> None:
    estate = Estate()
    for record in runner("microsoft.managedidentity/userassignedidentities"):
        estate.add(record)
    way = WAYS["assign-identity"]
    policies = [
        stored_policy(
            "role-definition", "t", name, name, document={"permissions": [element([action])]}, to=[]
        )
        for name, action in (("assign", way.actions[0]), ("create", way.also[0][0]))
    ]
    evaluator = RoleEvaluator(estate, policies, [], FIRST_NIGHT.date())
    alone: set[str] = set()
    for role, holder, at in (("assign", "h", GROUP), ("create", second, "/subscriptions/s2")):
        grant = Grant(
            id=role, provider="azure", account_id="a", identity_id=f"entra:principal:{holder}", role=role, resource=at,
            breadth="group",
        )  # fmt: skip
        alone |= {link.target_id for link in evaluator.links(grant, evaluator.allowed(grant, None))}
    assert alone == set()
    assert {link.target_id for link in evaluator.combined()} == reached
    assert list(evaluator.combined()) == []


def test_a_link_names_the_way_and_the_smallest_change() -> None:
    estate = Estate()
    for record in runner("microsoft.compute/virtualmachines"):
        estate.add(record)
    role = stored_policy(
        "role-definition", "t", "r", "Runner",
        document={"permissions": [element([WAYS["vm-run-command"].actions[0]])]}, to=[],
    )  # fmt: skip
    evaluator = RoleEvaluator(estate, [role], [], FIRST_NIGHT.date())
    grant = Grant(
        id="g", provider="azure", account_id="a", identity_id="entra:principal:h", role="Runner", resource="/",
        breadth="organization",
    )  # fmt: skip
    (link,) = evaluator.links(grant, evaluator.allowed(grant, None))
    assert link.evidence == "vm-run-command"
    assert link.why == "the role Runner at / allows Microsoft.Compute/virtualMachines/runCommand/action on it"
