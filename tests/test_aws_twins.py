"""Negative twins of every escalation path: the same account, but a boundary, an organization's policy or a narrower Deny
takes one step away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from collectors.aws.evaluator.escalation_paths import EscalationPath, paths
from collectors.aws.evaluator.policy_records import BOUNDARY, document_text
from scanner.records import Policy
from tests.aws_iam import allow, arn, document
from tests.test_aws_escalation import PATHS, Case, found

if TYPE_CHECKING:
    from collectors.aws.evaluator.facts import AwsFacts

ROOM = ["iam:Get*", "iam:List*", "sts:GetCallerIdentity"]
"""What no path uses."""


def bounded(case: Case, of: AwsFacts, boundary: dict[str, Any]) -> AwsFacts:
    """Return the account with a permissions boundary on the holder."""
    (holder,) = (one for one in of.identities if one.address == case.holder)
    text = document_text(boundary)
    limits = Policy(
        id=f"aws:policy:{holder.id}",
        provider="aws",
        account_id=of.account_ref,
        kind=BOUNDARY,
        native_id="boundary",
        name="limits",
        address=arn("policy", "limits"),
        document=text,
        sha256="0" * 64,
        attached_to=[holder.id],
    )
    return msgspec.structs.replace(of, policies=[*of.policies, limits])


def walked(case: Case, of: AwsFacts) -> set[str]:
    return {hit.path.id for hit in case.hits(of)}


def twins(case: Case) -> list[tuple[str, AwsFacts]]:
    """Return, for each step of a path, the accounts in which something else than the holder's own policies takes it away."""
    whole = case.facts(case.steps())
    everything = document(allow("*"))
    made: list[tuple[str, AwsFacts]] = []
    for number, step in enumerate(case.path.steps):
        taken = {"Effect": "Deny", "Action": list(step.actions), "Resource": "*"}
        rest = document(allow("*"), taken)
        made.append(
            (f"SCP without step {number}", msgspec.structs.replace(whole, scps=[[everything], [rest]]))
        )
        only = document(
            allow([*ROOM, *(one for other in case.path.steps if other is not step for one in other.actions)])
        )
        made.append((f"SCP that allows all but step {number}", msgspec.structs.replace(whole, scps=[[only]])))
        if "boundary" not in (case.path.requires or ""):
            made.append((f"boundary without step {number}", bounded(case, whole, rest)))
        resource = case.resource(step.covers)
        if resource != "*" and "deny" not in (case.path.requires or ""):
            spared = {"Effect": "Deny", "Action": list(step.actions), "NotResource": arn("role", "another")}
            made.append((f"Deny of step {number} on all but another", case.facts([*case.steps(), spared])))
            named = {"Effect": "Deny", "Action": list(step.actions), "Resource": resource}
            made.append((f"Deny of step {number} by name", case.facts([*case.steps(), named])))
    return made


@pytest.mark.parametrize("path_id", PATHS)
def test_what_limits_a_step_ends_the_path(path_id: str) -> None:
    case = Case(PATHS[path_id])
    assert found(case, case.facts(case.steps()))
    left = [why for why, of in twins(case) if path_id in walked(case, of)]
    assert not left


@pytest.mark.parametrize("path_id", PATHS)
def test_limits_that_leave_every_step_end_nothing(path_id: str) -> None:
    """The look-alikes: other actions denied, and other resources."""
    case = Case(PATHS[path_id])
    whole = case.facts(case.steps())
    other = document(allow("*"), {"Effect": "Deny", "Action": ["s3:DeleteBucket", "rds:*"], "Resource": "*"})
    limited = msgspec.structs.replace(whole, scps=[[other]])
    assert found(case, whole)
    assert walked(case, limited) == walked(case, whole)


def _passes(path: EscalationPath) -> bool:
    return path.family == "new-passrole" and any("iam:PassRole" in step.actions for step in path.steps)


@pytest.mark.parametrize("path_id", [path.id for path in paths() if _passes(path)])
def test_a_role_that_may_be_passed_to_another_service_only(path_id: str) -> None:
    case = Case(PATHS[path_id])
    pinned = {"StringEquals": {"iam:PassedToService": "pricing.amazonaws.com"}}
    steps = [{**one, "Condition": pinned} if one["Action"] == "iam:PassRole" else one for one in case.steps()]
    assert steps != case.steps()
    assert path_id not in walked(case, case.facts(steps))


def test_a_resource_control_policy_on_roles() -> None:
    case = Case(PATHS["sts-assume-role"])
    whole = case.facts(case.steps())
    refused = {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole", "Resource": "*"}
    for resource, ends in (("*", True), (case.target, True), (arn("role", "another"), False)):
        rcps = [[document({**refused, "Resource": resource})]]
        of = msgspec.structs.replace(whole, rcps=rcps)
        assert (walked(case, of) == set()) is ends
