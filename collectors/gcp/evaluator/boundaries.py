"""Principal access boundaries: for whom, and which resources stay eligible.

https://docs.cloud.google.com/iam/docs/principal-access-boundary-policies. Which permissions a boundary blocks depends on its
enforcement version, so that one that leaves a resource out makes a grant on it doubtful, and does not remove it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from collectors.gcp.names import CONTAINERS, folder_id, organization_id, project_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from collectors.gcp.evaluator.estate import GcpEstate
    from scanner.records import Policy


class Boundaries:
    """The boundaries of an organization, by whom they are bound to."""

    def __init__(self, policies: Iterable[Policy], estate: GcpEstate) -> None:
        self._estate = estate
        eligible: dict[str, frozenset[str]] = {}
        bound: list[tuple[str, str]] = []
        for policy in policies:
            document = json.loads(policy.document or "{}")
            if policy.kind == "principal-access-boundary":
                rules = (document.get("details") or {}).get("rules") or []
                eligible[policy.name] = frozenset(
                    str(resource) for rule in rules for resource in rule.get("resources") or []
                )
            elif policy.kind == "policy-binding":
                target = str((document.get("target") or {}).get("principalSet") or "")
                bound.append((target, str(document.get("policy") or "")))
        self._bound = [(target, eligible.get(name)) for target, name in bound]

    def leaves_out(self, principal: Collection[str], resource_chain: Collection[str]) -> bool:
        """Return whether a principal is bound to boundaries and none of them contains a resource.

        ``principal`` are the accounts and pools that the principal belongs to, ``resource_chain`` the accounts of the resource.
        Several boundaries are a union. One whose policy was not read is taken not to contain it.
        """
        sets = [eligible for target, eligible in self._bound if self._account_of(target) in principal]
        return bool(sets) and not any(
            self._account_of(one) in resource_chain for eligible in sets for one in eligible or ()
        )

    def _account_of(self, name: str) -> str:
        """Return the account of ``//cloudresourcemanager.googleapis.com/projects/P``, by ID or number; of a pool, its name."""
        if not name.startswith(CONTAINERS):
            return name.removeprefix("//iam.googleapis.com/")
        kind, _, found = name.removeprefix(CONTAINERS).partition("/")
        match kind:
            case "projects":
                return self._estate.project_of_number(found) or project_id(found)
            case "folders":
                return folder_id(found)
            case "organizations":
                return organization_id(found)
            case _:
                return name
