"""How many published privilege escalation paths are found, and how many safe look-alikes are reported as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import pytest

from scanner.records import Grant, Link, Record
from scanner.yaml_data import read_yaml
from tests.aws_iam import (
    ACCOUNT,
    ADMINISTRATOR,
    arn,
    compute,
    document,
    facts,
    group,
    policy,
    records,
    role,
    trusting,
    trusts,
    user,
)

Shape: TypeAlias = dict[str, Any]

LABELED: Shape = read_yaml(Path(__file__).parent / "data" / "labeled_policies.yaml")
BY = {"web": "sts:AssumeRoleWithWebIdentity", "saml": "sts:AssumeRoleWithSAML"}
SERVICES = ["ec2", "lambda", "cloudformation", "glue", "ecs-tasks", "codebuild", "sagemaker"]


def full(text: str) -> str:
    """Spell out ``role/x``, ``root`` and the account's number."""
    if text == "root":
        return f"arn:aws:iam::{ACCOUNT}:root"
    kind, _, rest = text.partition("/")
    if kind in {"user", "role", "group", "policy", "oidc-provider", "saml-provider"} and rest:
        return arn(kind, rest)
    return text.replace("ACCOUNT", ACCOUNT)


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def spelled(block: Shape) -> Shape:
    """Spell out a Condition."""
    return {
        operator: {key: [full(value) for value in listed(values)] for key, values in tests.items()}
        for operator, tests in block.items()
    }


def statement(short: Shape, effect: str = "Allow") -> Shape:
    found: Shape = {"Effect": short.get("effect", effect)}
    found |= {"NotAction": listed(short["but"])} if "but" in short else {"Action": listed(short["do"])}
    if "except" in short:
        found["NotResource"] = [full(one) for one in listed(short["except"])]
    else:
        found["Resource"] = [full(one) for one in listed(short.get("at", "*"))]
    return found | ({"Condition": spelled(short["if"])} if "if" in short else {})


def trust(short: Shape) -> Shape:
    principal: Any = short.get("trust", {"AWS": "arn:aws:iam::999999999999:root"})
    if isinstance(principal, dict):
        principal = {
            kind: [f"{one}.amazonaws.com" if kind == "Service" else full(one) for one in listed(names)]
            for kind, names in principal.items()
        }
    more = {"Condition": spelled(short["when"])} if "when" in short else {}
    by = short.get("by", "sts:AssumeRole")
    found = trusting(principal, BY.get(by, by) if isinstance(by, str) else by, **more)
    if short.get("negated"):
        (said,) = found["Statement"]
        said["NotPrincipal"] = said.pop("Principal")
    return found


def held(short: Shape) -> tuple[str, ...]:
    strong = [ADMINISTRATOR] if short.get("admin") else []
    return (*strong, *(full(one) for one in short.get("attached", ())))


def statements(short: Shape) -> list[Shape]:
    allowed = [statement(one) for one in short.get("can", ())]
    return allowed + [statement(one, "Deny") for one in short.get("cannot", ())]


def account_of(case: Shape, **more: Any) -> Any:
    """Build the account of a case."""
    serving = trusting({"Service": [f"{one}.amazonaws.com" for one in case.get("services", SERVICES)]})
    everyone = {"Service": [f"{one}.amazonaws.com" for one in SERVICES]}
    policies = [
        policy(
            name,
            *statements(short),
            others=tuple(statement(one) for version in short.get("before", ()) for one in version),
        )
        for name, short in case.get("policies", {}).items()
    ]
    attached = list(held(case))
    for name, given in (("subject", statements(case)), ("also", statements({"can": case.get("also", ())}))):
        if given:
            policies.append(policy(name, *given))
            attached.append(arn("policy", name))
    boundary = None
    if "limit" in case:
        policies.append(policy("boundary", *(statement(one) for one in case["limit"])))
        boundary = arn("policy", "boundary")
    roles = [role("harmless-service", trust=trusting(everyone))]
    if case.get("services", SERVICES):
        roles.append(role("admin-service", trust=serving, managed=(ADMINISTRATOR,)))
    roles += [
        role(name, *statements(short), trust=trust(short), managed=held(short))
        for name, short in case.get("roles", {}).items()
    ]
    users = [user("boss", managed=(ADMINISTRATOR,)), user("clerk")]
    users += [user(name, *statements(short)) for name, short in case.get("users", {}).items()]
    if case.get("as", "user") == "user":
        groups = tuple(case.get("in", ()))
        users.append(
            user("subject", managed=tuple(attached), groups=groups, boundary=boundary, tags=case.get("tags"))
        )
    else:
        roles.append(role("subject", managed=tuple(attached), boundary=boundary, tags=case.get("tags")))
    return facts(
        users=users,
        groups=[
            group("admins", managed=(ADMINISTRATOR,)),
            group("staff"),
            *(group(name, *statements(short)) for name, short in case.get("groups", {}).items()),
        ],
        roles=roles,
        policies=[
            {
                "PolicyName": "AdministratorAccess",
                "Arn": ADMINISTRATOR,
                "PolicyVersionList": [
                    {
                        "VersionId": "v1",
                        "IsDefaultVersion": True,
                        "Document": document({"Effect": "Allow", "Action": "*", "Resource": "*"}),
                    }
                ],
            },
            *policies,
        ],
        compute=[compute(one["kind"], full(one["arn"]), one["role"]) for one in case.get("compute", ())],
        compute_listed=frozenset(case.get("listed", ())),
        **more,
    )


def gains(found: list[Record]) -> bool:
    """Return whether the subject is reported as an administrator, or as able to escalate its privileges."""
    strong = {one.identity_id for one in found if isinstance(one, Grant) and one.level == "admin"}
    mine = [one for one in found if isinstance(one, Grant) and one.identity_id.endswith("SUBJECT")]
    if any(one.level in {"admin", "escalation"} for one in mine):
        return True
    return any(
        isinstance(one, Link)
        and one.relation == "can_become"
        and one.source_id.endswith("SUBJECT")
        and one.target_id in strong
        for one in found
    )


def lets_in(case: Shape) -> bool:
    """Return whether a trust is reported as too broad: medium or higher, or as a confused deputy."""
    can_write = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}
    found = trusts(
        facts(
            roles=[role("subject", can_write, trust=trust(case))],
            organization_id="o-own",
            organization_accounts=frozenset({ACCOUNT, "888888888888"}),
        )
    )
    assert found
    return any(one.severity in {"critical", "high", "medium"} or one.problem == "SVC-1" for one in found)


@pytest.mark.parametrize("case", LABELED["cases"], ids=lambda case: str(case["id"]))
def test_escalation(case: Shape) -> None:
    assert gains(records(account_of(case))) is case["escalates"]


@pytest.mark.parametrize("case", LABELED["trusts"], ids=lambda case: str(case["id"]))
def test_trust(case: Shape) -> None:
    assert lets_in(case) is case["open"]


@pytest.mark.parametrize("case", LABELED["keepers"], ids=lambda case: str(case["id"]))
def test_somebody_with_data(case: Shape) -> None:
    keeper = {
        "can": [
            {"do": ["s3:GetObject", "s3:ListBucket"], "at": ["arn:aws:s3:::vault", "arn:aws:s3:::vault/*"]}
        ]
    }
    more = {f"{case['keeper']}s": {"keeper": keeper | ({"trust": case["trust"]} if "trust" in case else {})}}
    subject = {key: value for key, value in case.items() if key != "trust"} | {"services": []}
    found = records(account_of(subject | more))
    assert not gains(found)
    become = {
        one.target_id
        for one in found
        if isinstance(one, Link) and one.relation == "can_become" and one.source_id.endswith("SUBJECT")
    }
    assert any(target.endswith("KEEPER") for target in become) is case["becomes"]


def test_there_are_enough_cases_of_both_labels() -> None:
    labels = [case["escalates"] for case in LABELED["cases"]] + [case["open"] for case in LABELED["trusts"]]
    assert labels.count(True) >= 180
    assert labels.count(False) >= 120
    names = [case["id"] for case in (*LABELED["cases"], *LABELED["trusts"])]
    assert len(names) == len(set(names))
    assert {case["source"][0] for case in (*LABELED["cases"], *LABELED["trusts"])} <= set(LABELED["sources"])
