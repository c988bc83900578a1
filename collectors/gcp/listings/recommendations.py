"""Roles that nobody uses, as IAM Recommender sees it: it looks at the last 90 days of a project's own bindings.

https://docs.cloud.google.com/policy-intelligence/docs/role-recommendations-overview
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.gcp.calls import RECOMMENDATIONS
from collectors.gcp.names import last, project_id
from collectors.gcp.per_project import each_project
from collectors.gcp.records import stored_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.gcp.scope import GcpScope
    from scanner.records import Record


def recommendations(scope: GcpScope) -> Iterator[Record]:
    """Yield the active recommendations for role bindings, which the evaluation applies to grants."""

    def read(project: str, item: dict[str, Any]) -> Iterator[Record]:
        overview = (item.get("content") or {}).get("overview") or {}
        state = str((item.get("stateInfo") or {}).get("state") or "ACTIVE")
        if state != "ACTIVE" or not overview.get("removedRole"):
            return
        account, name = project_id(project), str(item["name"])
        document = {
            "member": str(overview.get("member") or ""),
            "removedRole": str(overview["removedRole"]),
            "addedRoles": sorted(str(one) for one in overview.get("addedRoles") or []),
            "subtype": str(item.get("recommenderSubtype") or ""),
        }
        yield stored_policy(
            "iam-recommendation", account, name, document=document, to=[account], name=last(name)
        )

    yield from each_project(
        scope, RECOMMENDATIONS, read, table="policies", kind="iam-recommendation",
        needs="IAM Recommender Viewer (roles/recommender.iamViewer)", at="recommendations", parameters={"pageSize": 500},
    )  # fmt: skip
