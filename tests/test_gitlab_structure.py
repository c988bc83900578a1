"""What follows from GraphQL's answer about one project, and what must be read by REST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from collectors.gitlab.facts import ProjectFile, project_facts
from collectors.gitlab.survey import read_structure
from sandbox.gitlab.entities import group, project
from sandbox.gitlab.estate import RISK

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT = project_facts(project(RISK, "risk-engine", group(8001, "lantern", "Lantern Pay")))
ADMIN = {"userPermissions": {"adminProject": True}}
PATHS = frozenset({".gitlab-ci.yml"})


def nodes(*rows: Mapping[str, Any] | None, more: bool = False) -> dict[str, Any]:
    return {"nodes": list(rows), "pageInfo": {"hasNextPage": more}}


def level(number: int, words: str, **who: Any) -> dict[str, Any]:
    return {"accessLevel": number, "accessLevelDescription": words, **who}


def demand(number: int | None, name: str, *required: int, kind: str = "REGULAR") -> dict[str, Any]:
    rules = nodes(*({"approvalsRequired": one, "type": kind} for one in required))
    own = None if number is None else f"gid://gitlab/Projects::BranchRule/{number}"
    return {"id": own, "name": name, "approvalRules": rules}


def rule(*push: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": "gid://gitlab/Projects::BranchRule/7",
        "name": "main",
        "branchProtection": {"pushAccessLevels": nodes(*push), "mergeAccessLevels": nodes()},
    }


@pytest.mark.parametrize(
    ("answer", "field", "told"),
    [
        ({"ciVariables": nodes()}, "variables", []),
        ({"ciVariables": None}, "variables", None),
        ({"ciVariables": nodes({"key": "A"}, None)}, "variables", None),
        ({"ciVariables": nodes({"key": "A"}, more=True)}, "variables", None),
        ({"pipelineScheduleStatusCounts": {"total": 0}}, "schedules", 0),
        ({"pipelineScheduleStatusCounts": None}, "schedules", None),
        ({"ciCdSettings": {"inboundJobTokenScopeEnabled": False}}, "limited", False),
        ({"ciCdSettings": None}, "limited", None),
        ({"clusterAgents": nodes({"id": "1", "tokens": nodes(more=True)})}, "agents", None),
        ({"approvals": nodes(demand(None, "All branches", 2), demand(None, "All protected branches"))}, "approvals", 2),
        ({"approvals": nodes(demand(None, "All protected branches", 1, 3), demand(7, "main", 2))}, "approvals", 3),
        # Rules of other branches do not count here.
        ({"approvals": nodes(demand(7, "ma*", 2), demand(8, "release", 5))}, "approvals", 2),
        ({"approvals": nodes(demand(8, "release", 5))}, "approvals", 0),
        # GraphQL does not show whether it applies to every merge request or only to scan findings.
        ({"approvals": nodes(demand(None, "All branches", 2, kind="REPORT_APPROVER"))}, "approvals", None),
        ({"approvals": nodes({"approvalRules": nodes({"approvalsRequired": 2})})}, "approvals", None),
        ({"approvals": nodes({"approvalRules": None})}, "approvals", None),
        ({"branches": nodes({"id": None, "name": "All branches", "branchProtection": None})}, "branches", []),
        ({"branches": nodes(rule(level(40, "Maintainers")))}, "branches", [rule(level(40, "Maintainers"))]),
        # A withheld user looks like a role, except for the name, and a user's name can be that of a role.
        ({"branches": nodes(rule(level(40, "Finn Data", user=None)))}, "branches", None),
        ({"branches": nodes(rule(level(40, "No one", user=None)))}, "branches", None),
        ({"branches": nodes(rule(level(40, "Maintainers"), level(40, "x", group={"id": "gid://gitlab/Group/9"})))},
         "branches", [rule(level(40, "Maintainers"), level(40, "x", group={"id": "gid://gitlab/Group/9"}))]),
        ({"repository": {"blobs": nodes({"path": ".gitlab-ci.yml", "oid": "a1", "rawSize": "12"})}}, "files",
         {".gitlab-ci.yml": ProjectFile(path=".gitlab-ci.yml", oid="a1", size=12)}),
        ({"repository": {"blobs": nodes()}}, "files", {}),
        ({"repository": {"blobs": nodes({"path": ".gitlab-ci.yml", "oid": None})}}, "files", None),
        ({"repository": {"blobs": nodes(None)}}, "files", None),
        ({"repository": None}, "files", None),
    ],
)  # fmt: skip
def test_what_an_answer_tells(answer: dict[str, Any], field: str, told: object) -> None:
    assert getattr(read_structure(PROJECT, ADMIN | answer, PATHS), field) == told


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ({"inboundAllowlist": nodes({"id": "1"}), "inboundAllowlistCount": 1}, [{"id": "1"}]),
        ({"inboundAllowlist": nodes({"id": "1"}, {"id": "own"}), "inboundAllowlistCount": 1}, [{"id": "1"}, {"id": "own"}]),
        ({"inboundAllowlist": nodes(), "inboundAllowlistCount": 1}, None),
        ({"inboundAllowlist": nodes()}, None),
    ],
)  # fmt: skip
def test_projects_that_are_let_in_and_withheld_are_counted(scope: dict[str, Any], told: object) -> None:
    assert read_structure(PROJECT, ADMIN | {"ciJobTokenScope": scope}, PATHS).projects_let_in == told


@pytest.mark.parametrize(
    "answer",
    [
        {"ciVariables": nodes()},
        {"projectMembers": nodes()},
        {"services": nodes()},
        {"pipelineTriggers": nodes()},
        {"clusterAgents": nodes()},
        {"ciCdSettings": {"inboundJobTokenScopeEnabled": True}},
        {"ciJobTokenScope": {"inboundAllowlist": nodes(), "inboundAllowlistCount": 0}},
        {"branches": nodes()},
        {"approvals": nodes()},
    ],
)
@pytest.mark.parametrize("rights", [{"adminProject": False}, None])
def test_to_others_than_administrators_of_a_project_an_empty_list_tells_nothing(
    answer: dict[str, Any], rights: object
) -> None:
    node = {"userPermissions": rights, **answer}
    told = read_structure(PROJECT, node, PATHS)
    assert msgspec.structs.replace(told, digest="") == msgspec.structs.replace(
        read_structure(PROJECT, {}, PATHS), digest=""
    )


@pytest.mark.parametrize(
    ("feature", "unsure"),
    [
        ("builds_access_level", {"triggers"}),
        ("repository_access_level", {"triggers", "branches", "approvals"}),
        ("infrastructure_access_level", {"agents"}),
    ],
)
def test_a_feature_that_is_switched_off_may_hide_what_is_still_there(feature: str, unsure: set[str]) -> None:
    node = ADMIN | {
        "pipelineTriggers": nodes(),
        "clusterAgents": nodes(),
        "branches": nodes(),
        "approvals": nodes(),
    }
    row = project(RISK, "risk-engine", group(8001, "lantern", "Lantern Pay")) | {feature: "disabled"}
    on, off = read_structure(PROJECT, node, PATHS), read_structure(project_facts(row), node, PATHS)
    fields = ("triggers", "agents", "branches", "approvals")
    assert {name for name in fields if getattr(on, name) is None} == set()
    assert {name for name in fields if getattr(off, name) is None} == unsure
