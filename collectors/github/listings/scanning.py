"""What GitHub itself found out: secrets in repositories' histories, and which repositories attest their builds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github.failures import explain_unsupported
from collectors.github.listings.controls import control
from collectors.github.scope import Scope, time
from scanner.records import Secret, record_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.records import Record


def alerts(scope: Scope) -> Iterator[Record]:
    """Yield the open secret-scanning alerts. ``hide_secret`` keeps the secret itself out of the answer.

    https://docs.github.com/en/rest/secret-scanning/secret-scanning#list-secret-scanning-alerts-for-an-organization
    """

    def alert(item: dict[str, Any]) -> Iterator[Record]:
        repository = item["repository"]
        if not scope.wants(str(repository["name"])):
            return
        yield Secret(
            id=record_id("github", "github-scanning-alert", f"{repository['id']}/{item['number']}"),
            provider="github",
            account_id=record_id("github", "repo", str(repository["id"])),
            store="github-scanning-alert",
            name=str(item.get("secret_type_display_name") or item.get("secret_type")),
            readable=True,
            masked=False,
            protected=False,
            visibility="repository",
            looks_like=str(item.get("secret_type")),
            created_at=time(item.get("created_at")),
            updated_at=time(item.get("updated_at")),
            location=f"{repository['full_name']} alert {item['number']}",
            tags={
                "validity": str(item.get("validity") or "unknown"),
                "publicly_leaked": "true" if item.get("publicly_leaked") else "false",
            },
        )

    yield from scope.listing(
        "/orgs/{org}/secret-scanning/alerts",
        alert,
        table="secrets",
        kind="github-scanning-alert",
        needs="secret_scanning_alerts: read",
        parameters={"hide_secret": "true", "state": "open"},
        explained=explain_unsupported(
            "Secret scanning is not on for this organization, or not allowed to see."
        ),
    )


def attestations(scope: Scope) -> Iterator[Record]:
    """Yield which repositories attest what they build.

    https://docs.github.com/en/rest/orgs/attestations
    """

    def repository(item: dict[str, Any]) -> Iterator[Record]:
        if not scope.wants(str(item["name"])):
            return
        account_id = record_id("github", "repo", str(item["id"]))
        yield control(
            account_id,
            "build-attestation",
            str(item["id"]),
            stage="artifact",
            name="build attestations",
            enforcement="documented",
            target=account_id,
            detail="The repository has attested builds; nothing here demands that they are verified.",
        )

    yield from scope.listing(
        "/orgs/{org}/attestations/repositories",
        repository,
        table="controls",
        kind="build-attestation",
        needs="attestations: read",
        explained=explain_unsupported("GitHub Enterprise Server does not offer attestations."),
    )
