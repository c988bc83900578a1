"""The library: variable groups and secure files.

https://learn.microsoft.com/rest/api/azure/devops/distributedtask/variablegroups/get-variable-groups : the value of a
variable that is not marked as secret is in the response. It is inspected here and dropped. ``loadSecrets`` is never sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.azure_devops.calls import PREVIEW, VERSION, WHOLE
from collectors.azure_devops.facts import GUARDS, Library
from collectors.azure_devops.scope import PROVIDER
from scanner.collect.scope import utc_time
from scanner.records import Secret, record_id
from scanner.secrets.detectors import inspect

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.azure_devops.scope import DevOpsScope
    from scanner.records import Record

GROUPS = "/{project}/_apis/distributedtask/variablegroups"
FILES = "/{project}/_apis/distributedtask/securefiles"
NEEDS = "Reader of the library"


def variable_groups(scope: DevOpsScope) -> Generator[Record, None, Library]:
    """Yield the variables of every group that hold a secret, and return the names of each group's secrets."""
    found = Library()

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number, group = str(item["id"]), str(item["name"])
        vault = (item.get("providerData") or {}).get("vault") if item["type"] == "AzureKeyVault" else None
        found.by_id[number] = group.lower()
        if vault and (reads := (item.get("providerData") or {}).get("serviceEndpointId")):
            found.vaults[group.lower()] = str(reads).lower()
        names = found.names.setdefault(group.lower(), [])
        changed = utc_time(item.get("modifiedOn"))
        creator = (item.get("createdBy") or {}).get("uniqueName")
        for name, shown in sorted((item["variables"] or {}).items()):
            secret = vault is not None or bool((shown or {}).get("isSecret"))
            value = str((shown or {}).get("value") or "")
            seen = None if secret else inspect(name, value, scope.run.fingerprint)
            if not secret and seen is None:
                continue
            names.append(name)
            yield Secret(
                id=record_id(PROVIDER, "variable", f"{number}/{name}"),
                **scope.own,
                store="ado-variable-group",
                name=name,
                readable=not secret,
                masked=secret,
                visibility="selected" if item.get("isShared") else "repository",
                looks_like=seen.looks_like if seen is not None else None,
                recognized_by=seen.recognized_by if seen is not None else None,
                length=seen.length if seen is not None else None,
                fingerprint=seen.fingerprint if seen is not None else None,
                credential_id=record_id("aws", "access-key", seen.key_id)
                if seen is not None and seen.key_id
                else None,
                managed_by=f"key-vault:{vault}" if vault else None,
                created_at=utc_time(item.get("createdOn")),
                updated_at=changed,
                expires_at=utc_time((shown or {}).get("expires")) if vault else None,
                owner=creator,
                location=f"variable group {group}",
                tags={"group": group},
            )

    yield from scope.listing(
        GROUPS,
        convert,
        table="secrets",
        kind="ado-variable-group",
        needs=NEEDS,
        parameters=VERSION,
        loses=GUARDS,
    )
    return found


def secure_files(scope: DevOpsScope) -> Generator[Record, None, dict[str, str]]:
    """Yield the secure files, and return their names by ID. Their content is never requested."""
    found: dict[str, str] = {}

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        number, name = str(item["id"]), str(item["name"])
        looks_like = _by_ending(name)
        found[number] = name
        yield Secret(
            id=record_id(PROVIDER, "secure-file", number),
            **scope.own,
            store="ado-secure-file",
            name=name,
            readable=False,
            masked=True,
            visibility="repository",
            looks_like=looks_like,
            recognized_by="name" if looks_like else None,
            created_at=utc_time(item.get("createdOn")),
            updated_at=utc_time(item.get("modifiedOn")),
            owner=(item.get("createdBy") or {}).get("uniqueName"),
        )

    yield from scope.listing(
        FILES,
        convert,
        table="secrets",
        kind="ado-secure-file",
        needs=NEEDS,
        parameters=PREVIEW,
        paginator=WHOLE,
        loses=GUARDS,
    )
    return found


def _by_ending(name: str) -> str | None:
    """Return what a file of this name usually is."""
    ending = name.lower().rpartition(".")[2]
    match ending:
        case "pem" | "key" | "ppk":
            return "private-key"
        case "p12" | "pfx" | "jks" | "keystore" | "mobileprovision":
            return "signing-certificate"
        case "json":
            return "service-account-key" if "service" in name.lower() or "gcp" in name.lower() else None
        case "kubeconfig" | "npmrc" | "netrc" | "env":
            return "credentials-file"
        case _:
            return None
