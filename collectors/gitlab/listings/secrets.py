"""CI/CD variables of projects, groups, the instance and pipeline schedules: judged in memory, values dropped.

https://docs.gitlab.com/ci/variables/ https://docs.gitlab.com/api/project_level_variables/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from scanner.records import Secret, record_id
from scanner.secrets.detectors import inspect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collectors.gitlab.scope import Place, Scope
    from scanner.records import Record

_NAMES = re.compile(
    r"ROLE|ACCOUNT|REGION|CLUSTER|SERVICE|FUNCTION|LAMBDA|NAMESPACE|PROJECT|APP|CLIENT_ID", re.IGNORECASE
)
_IDENTIFIER = re.compile(
    r"arn:aws[\w-]*:[\w-]+:[\w-]*:\d{0,12}:[\w+=,.@/:-]{1,200}|\d{12}|[A-Za-z0-9][A-Za-z0-9_./@-]{0,80}"
)
NEEDS = {
    "instance": "an administrator's token",
    "group": "Owner of the group",
    "project": "Maintainer of the project",
}


def variable(
    scope: Scope,
    item: dict[str, Any],
    place: Place,
    identifiers: dict[str, str],
    *,
    holder: str | None = None,
    schedule: str | None = None,
) -> Iterator[Secret]:
    """Yield a variable if it is a secret by its value, by its name, or because it is masked or hidden.

    One that only names a role, a region or a workload goes into ``identifiers`` instead: pipelines say
    ``--role-arn "$DEPLOY_ROLE"``, and without its value the role stays unknown.
    """
    name, value = str(item["key"]), item.get("value")
    seen = inspect(name, value, scope.run.fingerprint) if isinstance(value, str) else None
    masked, hidden = bool(item.get("masked")), bool(item.get("hidden")) or value is None
    where = str(item.get("environment_scope") or "*")
    if seen is None and not masked and not hidden:
        if (
            isinstance(value, str)
            and _IDENTIFIER.fullmatch(value.strip())
            and (value.strip().startswith("arn:") or _NAMES.search(name))
        ):
            identifiers.setdefault(name, value.strip())
        return
    key_id = seen.key_id if seen is not None else None
    store = "gitlab-variable" if schedule is None else "gitlab-schedule-variable"
    part = f"{place.kind}/{place.number}" if schedule is None else f"schedule/{schedule}"
    yield Secret(
        id=record_id("gitlab", store, f"{part}/{name}" if where == "*" else f"{part}/{name}@{where}"),
        provider="gitlab",
        account_id=place.account_id,
        store=store,
        name=name,
        holder_id=holder,
        environment=None if where == "*" else where,
        readable=not hidden,
        masked=masked,
        protected=bool(item["protected"]) if "protected" in item else None,
        visibility={"project": "repository", "group": "all", "instance": "all"}[place.kind],
        looks_like=seen.looks_like if seen is not None else None,
        length=seen.length if seen is not None else None,
        fingerprint=seen.fingerprint if seen is not None else None,
        credential_id=record_id("aws", "access-key", key_id)
        if key_id and key_id.startswith(("AKIA", "ASIA"))
        else None,
        rotation_enabled=False,
        location=place.address if schedule is None else f"{place.address} schedule {schedule}",
        tags={"hidden": "true"} if hidden else {},
    )


def variables(
    scope: Scope,
    place: Place,
    identifiers: dict[str, str],
    *,
    holder: str | None = None,
    rows: Iterable[dict[str, Any]] | None = None,
) -> Iterator[Record]:
    """Yield the variables of a project, a group or the instance; fills ``identifiers``.

    Projects hand them to their one pipeline, ``holder``. GitLab does not tell when one was made or changed.
    """
    call = "/admin/ci/variables" if place.kind == "instance" else f"/{place.kind}s/:id/variables"
    yield from scope.listing(
        call,
        lambda item: variable(scope, item, place, identifiers, holder=holder),
        table="secrets",
        kind="gitlab-variable",
        needs=NEEDS[place.kind],
        place=place,
        rows=rows,
    )
