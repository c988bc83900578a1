"""How a service connection signs in: the tokens that it presents, and the identity that it becomes.

A federated connection presents a token, and the trust of the other system decides. A stored secret is the identity itself.

- Entra issuer: https://learn.microsoft.com/azure/devops/pipelines/release/azure-rm-endpoint and
  https://learn.microsoft.com/azure/devops/release-notes/roadmap/2025/new-issuer-for-workload-identity-federation; the subject
  names the tenant, Azure DevOps itself, the organization and the connection by their IDs
- Azure DevOps issuer: ``sc://ORGANIZATION/PROJECT/CONNECTION``, by names
- AWS: https://docs.aws.amazon.com/vsts/latest/userguide/awssetup.html, always with the Azure DevOps issuer
"""

from __future__ import annotations

import base64
import uuid
from typing import TYPE_CHECKING, Any

import msgspec

from collectors.azure_devops.client import RESOURCE
from collectors.azure_devops.scope import PROVIDER, connection
from scanner.records import Link, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.azure_devops.connections import ConnectionClass
    from collectors.azure_devops.scope import DevOpsScope

AUDIENCE = "api://AzureADTokenExchange"
"""The audience of every token of a service connection."""


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of one connection."""

    issuer: str | None = None
    """None if it is unknown whether it has any."""
    tokens: list[dict[str, str]] = []
    """With the claim ``iss`` where ``issuer`` is None."""

    @property
    def subjects(self) -> list[str]:
        """The subjects of tokens that it certainly presents."""
        return [token["sub"] for token in self.tokens] if self.issuer else []


def presented(
    scope: DevOpsScope, item: dict[str, Any], kind: ConnectionClass, parameters: dict[str, Any]
) -> Presented:
    """Return the tokens that a connection presents; those that it may present where its sign-in was not shown."""
    issuer = parameters.get("workloadIdentityFederationIssuer")
    subject = parameters.get("workloadIdentityFederationSubject")
    if issuer and subject:
        return Presented(issuer=str(issuer), tokens=[{"sub": str(subject), "aud": AUDIENCE}])
    organization = _guid(scope.target.params["id"])
    if organization is None:
        return Presented()
    old = f"https://vstoken.dev.azure.com/{organization}"
    named = [{"sub": one, "aud": AUDIENCE} for one in _named(scope, item)]
    match kind.how:
        case "federated" if kind.service == "aws":
            return Presented(issuer=old, tokens=named)
        case "unknown":
            tokens = [{**token, "iss": old} for token in named]
            if scope.config.tenant is not None:
                subject = entra_subject(str(scope.config.tenant), str(organization), str(item["id"]).lower())
                entra = f"https://login.microsoftonline.com/{scope.config.tenant}/v2.0"
                tokens.append({"sub": subject, "aud": AUDIENCE, "iss": entra})
            return Presented(tokens=tokens)
        case _:
            return Presented()


def _named(scope: DevOpsScope, item: dict[str, Any]) -> list[str]:
    """Return the subjects by name: one for each project that shares the connection, where it may have another name."""
    references = [
        (
            str((one.get("projectReference") or {}).get("name") or ""),
            str(one.get("name") or item["name"]),
        )
        for one in item.get("serviceEndpointProjectReferences") or []
    ]
    return [f"sc://{scope.organization}/{project}/{name}" for project, name in sorted(references) if project]


def entra_subject(tenant: str, organization: str, number: str) -> str:
    """Return the subject that the Entra issuer writes for a connection."""
    return f"/eid1/c/pub/t/{_encoded(tenant)}/a/{_encoded(RESOURCE)}/sc/{organization}/{number}"


def _encoded(number: str) -> str:
    return base64.urlsafe_b64encode(uuid.UUID(number).bytes_le).rstrip(b"=").decode()


def _guid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def identity_links(
    scope: DevOpsScope, item: dict[str, Any], kind: ConnectionClass, parameters: dict[str, Any]
) -> Iterator[Link]:
    """Yield which identity a connection signs in as. A disabled connection signs in as none."""
    if item.get("isDisabled"):
        return
    number, name = str(item["id"]).lower(), str(item["name"])
    role = parameters.get("assumeRoleArn") or parameters.get("roleToAssume")
    found: list[tuple[str, bool]] = []
    if app_id := parameters.get("serviceprincipalid"):
        found.append((record_id("entra", "application", str(app_id).lower()), kind.how == "federated"))
    elif kind.service == "aws" and role:
        # Also with a key: its user asks for the role, and the role's trust decides.
        found.append((str(role), True))
    elif kind.service == "gcp" and (email := parameters.get("Issuer")):
        found.append((str(email), False))
    elif kind.how == "managed":
        found.append((record_id(PROVIDER, "identity-of-the-agent", number), False))
    if kind.how == "unknown":
        found.append((record_id(PROVIDER, "unknown-identity", number), False))
    for target, asks in found:
        yield Link(
            id=record_id(
                PROVIDER, "connection-identity", number if target == found[0][0] else f"{number}/unknown"
            ),
            **scope.own,
            source_id=connection(number),
            relation="uses" if asks else "runs_as",
            target_id=target,
            evidence=f"service connection {name}",
            why=f"the {item['type']} connection {name} signs in as {target.rpartition(':')[2]}",
        )
