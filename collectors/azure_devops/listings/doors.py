"""Other doors into an organization: extensions, service hooks, and where its audit log goes.

https://learn.microsoft.com/rest/api/azure/devops/extensionmanagement/installed-extensions/list,
https://learn.microsoft.com/azure/devops/extend/develop/add-pipeline-decorator : a decorator puts steps into every job,
https://learn.microsoft.com/rest/api/azure/devops/hooks/subscriptions/list,
https://learn.microsoft.com/rest/api/azure/devops/audit/streams/query-all-streams
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from collectors.azure_devops.calls import PREVIEW, WHOLE
from collectors.azure_devops.scope import PROVIDER
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Control, Enforcement, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

EXTENSIONS = "/_apis/extensionmanagement/installedextensions"
HOOKS = "/_apis/hooks/subscriptions"
STREAMS = "/_apis/audit/streams"
DECORATOR = "ms.azure-pipelines.pipeline-decorator"
WRITES = ("_manage", "_write", "_execute", "_full", "_status")
"""How the name of a scope ends that changes something: ``vso.code_manage``, ``vso.build_execute``.
https://learn.microsoft.com/azure/devops/integrate/get-started/authentication/oauth#available-scopes"""


def extensions(scope: DevOpsScope) -> Iterator[Record]:
    """Yield the installed extensions with their scopes, and whether they put steps into every job."""

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        name = f"{item['publisherId']}.{item['extensionId']}"
        flags = {flag.strip().lower() for flag in str(item.get("flags") or "").split(",")}
        state: dict[str, Any] = item.get("installState") or {}
        off = "disabled" in str(state.get("flags") or "").lower()
        kinds = {str(one.get("type")) for one in item.get("contributions") or [] if isinstance(one, dict)}
        yield Identity(
            id=record_id(PROVIDER, "extension", name.lower()),
            **scope.own,
            surface="automation",
            kind="ado-extension",
            native_id=name,
            name=str(item.get("extensionName") or name),
            enabled=not off,
            owner=str(item.get("publisherName") or item["publisherId"]),
            owner_source="publisher",
            managed_by="provider" if flags & {"builtin", "trusted"} else None,
            permissions=sorted(str(one) for one in item.get("scopes") or []),
            tags={
                "decorator": "yes" if DECORATOR in kinds else "no",
                "writes": "yes"
                if any(str(one).endswith(WRITES) for one in item.get("scopes") or [])
                else "no",
            },
        )

    yield from scope.on(scope.clients.extension).listing(
        EXTENSIONS,
        convert,
        table="identities",
        kind="ado-extension",
        needs="View extensions",
        parameters={**PREVIEW, "includeDisabledExtensions": "true", "includeErrors": "false"},
        paginator=WHOLE,
    )


def service_hooks(scope: DevOpsScope) -> Iterator[Record]:
    """Yield the service hooks: where events go, and whether the way is encrypted and the sender proven. Paths are left out."""

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number = str(item["id"]).lower()
        given: dict[str, Any] = item.get("consumerInputs") or {}
        consumer = str(item["consumerId"])
        url = urlsplit(str(given.get("url") or ""))
        me = record_id(PROVIDER, "service-hook", number)
        owner = (item.get("createdBy") or {}).get("uniqueName") or (item.get("createdBy") or {}).get(
            "displayName"
        )
        host = url.hostname or consumer
        yield Identity(
            id=me,
            **scope.own,
            surface="automation",
            kind="ado-service-hook",
            native_id=number,
            name=f"{item['eventType']} to {host}",
            enabled=not str(item.get("status") or "enabled").startswith("disabled"),
            created_at=utc_time(item.get("createdDate")),
            owner=owner,
            owner_source="creator" if owner else None,
            tags={"host": host, "consumer": consumer},
        )
        if consumer != "webHooks":
            return
        encrypted = (
            url.scheme == "https" and str(given.get("acceptUntrustedCerts") or "false").lower() != "true"
        )
        proven = bool(given.get("basicAuthPassword") or given.get("httpHeaders"))
        for kind, sound, detail in (
            ("webhook-tls", encrypted, "Deliveries use TLS with certificate verification."),
            ("webhook-signature", proven, "Deliveries carry a password or a header of their own."),
        ):
            yield Control(
                id=record_id(PROVIDER, kind, number),
                **scope.own,
                stage="build",
                kind=kind,
                name=host,
                enforcement="enforced" if sound else "absent",
                target=me,
                detail=detail,
            )

    yield from scope.listing(
        HOOKS,
        convert,
        table="identities",
        kind="ado-service-hook",
        needs="View subscriptions of the service hooks",
        parameters=PREVIEW,
        paginator=WHOLE,
        fills=("controls/webhook-tls", "controls/webhook-signature"),
    )


def audit_streams(scope: DevOpsScope) -> Iterator[Record]:
    """Yield whether the audit log is streamed to another system. Without a stream, evidence ends after 90 days.

    https://learn.microsoft.com/azure/devops/organizations/audit/azure-devops-auditing
    """
    here = scope.on(scope.clients.audit)

    def read() -> Iterator[Record]:
        running: list[str] = []
        others: list[str] = []
        for item in here.client.items(STREAMS, PREVIEW, paginator=WHOLE):
            kind = str(item.get("consumerType") or "unknown")
            (running if str(item["status"]).lower() in {"enabled", "backfilling"} else others).append(kind)
        enforcement: Enforcement = "enforced" if running else "absent"
        yield Control(
            id=record_id(PROVIDER, "audit-stream", scope.account_id.rpartition(":")[2]),
            **scope.own,
            stage="source",
            kind="audit-stream",
            name="Audit streaming",
            enforcement=enforcement,
            target=scope.account_id,
            detail=f"To {', '.join(sorted(running))}"
            if running
            else ("No stream runs" if others else "No stream"),
        )

    request = scope.request("controls", f"GET {STREAMS}", kind="audit-stream", needs="View audit log")
    yield from with_coverage(read(), request)
