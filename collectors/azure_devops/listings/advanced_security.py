"""GitHub Advanced Security for Azure DevOps: which repositories are scanned for secrets, and the open alerts.

https://learn.microsoft.com/rest/api/azure/devops/advancedsecurity/org-enablement/get : one list for the organization, which
names repositories that the scanner may not open.
https://learn.microsoft.com/rest/api/azure/devops/advancedsecurity/alerts/list : ``expand`` is never sent, since it may return
the secret itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure_devops.calls import PREVIEW
from collectors.azure_devops.scope import PROVIDER, repository
from scanner.collect.listings import side_by_side, with_coverage
from scanner.collect.paging import list_in
from scanner.collect.scope import utc_time
from scanner.records import Control, Secret, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

ENABLEMENT = "/_apis/management/enablement"
ALERTS = "/{project}/_apis/alert/repositories/{repository}/alerts"
NEEDS = "Advanced Security: view alerts"


def enablement(
    scope: DevOpsScope,
) -> Generator[Record, None, dict[tuple[str, str], dict[str, bool]] | None]:
    """Return project and repository (GUIDs) -> ``secrets`` and ``push``: what is on. None if it could not be read."""
    here = scope.on(scope.clients.security)

    def read() -> Generator[Record, None, dict[tuple[str, str], dict[str, bool]]]:
        body = here.client.one(ENABLEMENT, {"api-version": "7.2-preview.3", "includeAllProperties": "true"})
        found = {}
        for item in list_in(body, "reposEnablementStatus", ENABLEMENT):
            features: dict[str, Any] = item.get("secretProtectionFeatures") or {}
            key = (str(item["projectId"]).lower(), str(item["repositoryId"]).lower())
            found[key] = {
                "secrets": bool(features.get("secretProtectionEnabled", item.get("advSecEnabled"))),
                "push": bool(features.get("blockPushes", item.get("blockPushes"))),
            }
        yield from ()
        return found

    request = scope.request("controls", f"GET {ENABLEMENT}", kind="enablement", needs=NEEDS)
    loses = ("controls/secret-scanning", "controls/push-protection", "secrets/ado-scanning-alert")
    return (yield from with_coverage(read(), request, loses=loses))


def protection(
    scope: DevOpsScope,
    project: str,
    enabled: Mapping[tuple[str, str], Mapping[str, bool]],
    names: Mapping[str, str],
) -> Iterator[Record]:
    """Yield for each repository of a project whether it is scanned, and the open alerts. ``names`` are by GUID."""

    def states() -> Iterator[Record]:
        for number, name in sorted(names.items()):
            state = enabled.get((project, number))
            if state is None:
                continue
            for kind, on, title in (
                ("secret-scanning", state["secrets"], "Secret scanning"),
                ("push-protection", state["push"], "Push protection"),
            ):
                yield Control(
                    id=record_id(PROVIDER, kind, number),
                    provider=PROVIDER,
                    account_id=repository(number),
                    stage="source",
                    kind=kind,
                    name=title,
                    enforcement="enforced" if on else "absent",
                    target=repository(number),
                    detail=name,
                )

    request = scope.request("controls", f"GET {ENABLEMENT}", kind="secret-scanning", needs=NEEDS)
    yield from with_coverage(states(), request, fills=("controls/push-protection",))
    here = scope.on(scope.clients.security)
    yield from side_by_side(
        [
            _alerts(here.within(repository(number), repository=number), name)
            for number, name in sorted(names.items())
            if enabled.get((project, number), {}).get("secrets")
        ],
        scope.config.workers,
    )


def _alerts(scope: DevOpsScope, name: str) -> Iterator[Record]:
    number = scope.names["repository"]

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        places = [one for one in item.get("physicalLocations") or [] if isinstance(one, dict)]
        path = str((places[0].get("filePath") if places else None) or name)
        yield Secret(
            id=record_id(PROVIDER, "scanning-alert", f"{number}/{item['alertId']}"),
            **scope.own,
            store="ado-scanning-alert",
            name=str(item["title"]),
            readable=True,
            masked=False,
            protected=False,
            visibility="repository",
            looks_like=str(item["title"]),
            recognized_by="value",
            created_at=utc_time(item.get("firstSeenDate")),
            updated_at=utc_time(item.get("lastSeenDate")),
            location=f"{path} of {name}, alert {item['alertId']}",
        )

    yield from scope.listing(
        ALERTS,
        convert,
        table="secrets",
        kind="ado-scanning-alert",
        needs=NEEDS,
        parameters={
            **PREVIEW,
            "criteria.states": "active",
            "criteria.alertType": "secret",
            "criteria.onlyDefaultBranch": "false",
        },
    )
