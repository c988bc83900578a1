"""OIDC and SAML identity providers of the account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.aws.client import answer_with
from collectors.aws.scope import PROVIDER, PartialReads, tags_of
from collectors.aws.times import utc
from scanner.records import Credential, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.aws.scope import AwsScope
    from scanner.records import Record


def oidc_providers(scope: AwsScope) -> Iterator[Record]:
    """Yield OIDC providers."""
    iam = scope.client("iam")
    answer = iam.list_open_id_connect_providers()
    reads = PartialReads()
    for entry in answer["OpenIDConnectProviderList"]:
        arn = entry["Arn"]
        read = reads.read(
            arn,
            lambda: answer_with(iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn), "Url"),  # noqa: B023
        )
        provider: dict[str, Any] = read or {}
        # The ARN ends with the URL, so the issuer is known even if the details are denied.
        url = str(provider.get("Url") or arn.split(":oidc-provider/", 1)[-1])
        tags = tags_of(provider.get("Tags"))
        owner, owner_source = scope.owner(tags)
        provider_id = record_id(PROVIDER, "oidc-provider", arn)
        yield Identity(
            id=provider_id,
            provider=PROVIDER,
            account_id=scope.ref,
            surface="automation",
            kind="oidc-provider",
            native_id=arn,
            name=url.removeprefix("https://"),
            address=arn,
            created_at=utc(provider.get("CreateDate")),
            owner=owner,
            owner_source=owner_source,
            environment=scope.environment(tags),
            tags=tags,
        )
    reads.end()


def saml_providers(scope: AwsScope) -> Iterator[Record]:
    """Yield SAML providers with the certificates in their metadata."""
    answer = scope.client("iam").list_saml_providers()
    for entry in answer["SAMLProviderList"]:
        arn = entry["Arn"]
        provider_id = record_id(PROVIDER, "saml-provider", arn)
        name = arn.rsplit("/", 1)[-1]
        yield Identity(
            id=provider_id,
            provider=PROVIDER,
            account_id=scope.ref,
            surface="human",
            kind="saml-provider",
            native_id=arn,
            name=name,
            address=arn,
            created_at=utc(entry.get("CreateDate")),
            environment=scope.environment(),
        )
        ends = utc(entry.get("ValidUntil"))
        if ends is not None:
            yield Credential(
                id=record_id(PROVIDER, "certificate", arn),
                provider=PROVIDER,
                account_id=scope.ref,
                identity_id=provider_id,
                kind="certificate",
                native_id=arn,
                name=f"metadata of SAML provider {name}",
                lifetime="expiring",
                created_at=utc(entry.get("CreateDate")),
                expires_at=ends,
            )
