"""Secret scanning, push protection, and open secret-scanning alerts.

https://docs.github.com/en/rest/secret-scanning/secret-scanning
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collectors.github.records import control, repository_id
from scanner.collect.failures import SourceError, unsupported_on
from scanner.collect.listings import with_coverage
from scanner.collect.scope import utc_time
from scanner.records import Secret, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from collectors.github.scope import OrganizationScope
    from scanner.records import Record


_GENERIC = (
    "ec_private_key",
    "generic_private_key",
    "http_basic_authentication_header",
    "http_bearer_authentication_header",
    "mongodb_connection_string",
    "mysql_connection_string",
    "openssh_private_key",
    "password",
    "pgp_private_key",
    "postgres_connection_string",
    "rsa_private_key",
)
"""Patterns of no provider, as of 2026-11-30.

https://docs.github.com/en/code-security/reference/secret-security/supported-secret-scanning-patterns
"""


def secret_scanning(scope: OrganizationScope) -> Iterator[Record]:
    """Yield for each repository whether secret scanning and push protection are enabled.

    ``security_and_analysis`` is shown only to administrators: repositories without it become a Gap.
    https://docs.github.com/en/rest/repos/repos#list-organization-repositories
    """

    def settings(item: dict[str, Any], shown: dict[str, Any]) -> Iterator[Record]:
        account_id = repository_id(item["id"])
        for key, kind in (
            ("secret_scanning", "secret-scanning"),
            ("secret_scanning_push_protection", "push-protection"),
        ):
            status = (shown.get(key) or {}).get("status")
            if status is not None:
                yield control(
                    account_id,
                    kind,
                    str(item["id"]),
                    stage="source",
                    name=kind.replace("-", " "),
                    enforcement="enforced" if status == "enabled" else "absent",
                    target=account_id,
                )

    def read() -> Generator[Record, None, None]:
        hidden = 0
        for item in scope.client.items(scope.path("/orgs/{org}/repos")):
            shown = item.get("security_and_analysis")
            if not scope.includes(str(item["name"])) or item.get("archived"):
                continue
            if shown is None:
                hidden += 1
            else:
                yield from settings(item, shown)
        if hidden:
            raise SourceError("denied", f"security settings of {hidden} repositories are not visible")

    yield from with_coverage(
        read(),
        scope.request(
            "controls", "GET /orgs/{org}/repos", kind="secret-scanning", needs="administration: read"
        ),
        fills=("controls/push-protection",),
    )


def alerts(scope: OrganizationScope) -> Iterator[Record]:
    """Yield the open secret-scanning alerts. ``hide_secret`` keeps the secret itself out of the answer.

    https://docs.github.com/en/rest/secret-scanning/secret-scanning#list-secret-scanning-alerts-for-an-organization
    """

    def alert(item: dict[str, Any]) -> Iterator[Record]:
        repository = item["repository"]
        if not scope.includes(str(repository["name"])):
            return
        yield Secret(
            id=record_id("github", "github-scanning-alert", f"{repository['id']}/{item['number']}"),
            provider="github",
            account_id=repository_id(repository["id"]),
            store="github-scanning-alert",
            name=str(item.get("secret_type_display_name") or item.get("secret_type")),
            readable=True,
            masked=False,
            protected=False,
            visibility="repository",
            looks_like=str(item.get("secret_type")),
            recognized_by="value",
            created_at=utc_time(item.get("created_at")),
            updated_at=utc_time(item.get("updated_at")),
            location=f"{repository['full_name']} alert {item['number']}",
            tags={
                "validity": str(item.get("validity") or "unknown"),
                "publicly_leaked": _word(item.get("publicly_leaked")),
                "multi_repository": _word(item.get("multi_repo")),
                "push_protection_bypassed": _word(item.get("push_protection_bypassed")),
            },
        )

    # The list leaves out generic patterns unless they are named.
    for item, types in ((None, {}), ("generic patterns", {"secret_type": ",".join(_GENERIC)})):
        yield from scope.listing(
            "/orgs/{org}/secret-scanning/alerts",
            alert,
            table="secrets",
            kind="github-scanning-alert",
            needs="secret_scanning_alerts: read",
            parameters={"hide_secret": "true", "state": "open", **types},
            item=item,
            classify=unsupported_on(
                {404}, "Secret scanning is not enabled for this organization, or its alerts cannot be read."
            ),
        )


def _word(value: bool | None) -> str:
    return "unknown" if value is None else str(value).lower()
