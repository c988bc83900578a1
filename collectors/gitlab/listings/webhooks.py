"""Webhooks, what authenticates their requests, and integrations: what GitLab calls when something happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from collectors.gitlab.access_levels import PREMIUM
from collectors.gitlab.records import control
from scanner.collect.failures import unsupported_on
from scanner.collect.scope import utc_time
from scanner.records import Credential, Identity, record_id
from scanner.secrets.detectors import secret_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collectors.gitlab.facts import GitLabPlace, ProjectFacts
    from collectors.gitlab.scope import GitLabScope
    from scanner.records import Record

_AUTHENTICATING = frozenset(("authorization", "cookie", "proxy-authorization", "private-token"))


def webhooks(scope: GitLabScope, place: GitLabPlace) -> Iterator[Record]:
    """Yield the webhooks of a project, a group or the instance, whether they verify TLS, and the credentials in their
    headers and URLs.

    https://docs.gitlab.com/api/project_webhooks/ : secret and signing token are never shown; GitLab 19 and later show
    whether there is one (``token_present``, ``signing_token_present``). Of custom headers and of the masked parts of the
    URL, the answer has the names (``key``) only, and older versions not even those.
    """
    silent: list[str] = []
    unnamed: list[str] = []
    call = "/hooks" if place.kind == "instance" else f"/{place.kind}s/:id/hooks"
    needs = {
        "instance": "an administrator's token",
        "group": "Owner of the group (GitLab Premium)",
        "project": "Maintainer of the project",
    }[place.kind]

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        url = urlsplit(str(item["url"]))
        host = url.hostname or "unknown host"
        number = f"{place.kind}/{item['id']}"
        identity = record_id("gitlab", "webhook", number)
        enabled = item.get("alert_status", "executable") != "disabled"
        yield Identity(
            id=identity,
            provider="gitlab",
            account_id=place.account_id,
            surface="automation",
            kind="gitlab-webhook",
            native_id=str(item["id"]),
            name=host,
            address=f"{place.address} webhook {item['id']}",
            enabled=enabled,
            created_at=utc_time(item.get("created_at")),
        )
        encrypted = url.scheme == "https"
        sound = encrypted and bool(item["enable_ssl_verification"])
        yield control(
            place,
            "webhook-tls",
            number,
            stage="source",
            name=host,
            enforcement="enforced" if sound else "absent",
            target=identity,
            detail="Verifies the receiver's certificate."
            if sound
            else "Does not verify the receiver's certificate."
            if encrypted
            else "Sends events over plain HTTP.",
        )
        if not {"custom_headers", "url_variables"} <= item.keys():
            unnamed.append(host)
        for part, name in _credentials(item):
            yield Credential(
                id=record_id("gitlab", "webhook-secret", f"{number}/{part}/{name}"),
                provider="gitlab",
                account_id=place.account_id,
                identity_id=identity,
                kind="webhook-secret",
                native_id=f"{item['id']}/{part}/{name}",
                name=f"{part} {name}",
                lifetime="static",
                enabled=enabled,
                location=host,
            )
        if "token_present" not in item:
            silent.append(host)
            return
        signed = bool(item.get("signing_token_present"))
        known = signed or bool(item["token_present"])
        yield control(
            place,
            "webhook-signature",
            number,
            stage="source",
            name=host,
            enforcement="enforced" if known else "absent",
            target=identity,
            detail=f"Sends {'a signature' if signed else 'a secret token'}."
            if known
            else "Sends neither a signature nor a secret token.",
        )

    yield from scope.at(place).listing(
        call,
        convert,
        table="controls",
        kind="webhook-tls",
        needs=needs,
        fills=("identities/gitlab-webhook", "controls/webhook-signature", "credentials/webhook-secret"),
        classify=unsupported_on({404}, PREMIUM),
    )
    if silent:
        yield scope.at(place).unseen(
            "controls",
            "webhook-signature",
            f"GET {call} (tokens)",
            f"This GitLab does not show whether webhooks have a secret token ({len(silent)} webhooks).",
            needs="GitLab 19 or later",
        )
    if unnamed:
        yield scope.at(place).unseen(
            "credentials",
            "webhook-secret",
            f"GET {call} (headers)",
            f"This GitLab does not show custom headers or URL variables of webhooks ({len(unnamed)} webhooks).",
            needs="GitLab 17.1 or later",
        )


def _credentials(item: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield where a webhook has a credential, and its name. A URL variable is a part of the URL that somebody chose to
    mask; a custom header is a credential if its name says so.

    https://docs.gitlab.com/user/project/integrations/webhooks/#mask-sensitive-portions-of-webhook-urls
    https://docs.gitlab.com/user/project/integrations/webhooks/#custom-headers
    """
    for variable in item.get("url_variables") or []:
        yield "url-variable", str(variable.get("key", "without a name"))
    for header in item.get("custom_headers") or []:
        name = str(header.get("key", ""))
        if name.lower() in _AUTHENTICATING or secret_name(name) is not None:
            yield "header", name


def integrations(
    scope: GitLabScope, project: ProjectFacts, rows: Iterable[dict[str, Any]] | None = None
) -> Iterator[Record]:
    """Yield the active integrations. https://docs.gitlab.com/api/project_integrations/"""
    place = project.place

    def convert(item: dict[str, Any]) -> Iterator[Record]:
        yield Identity(
            id=record_id("gitlab", "integration", f"{place.number}/{item['id']}"),
            provider="gitlab",
            account_id=place.account_id,
            surface="automation",
            kind="gitlab-integration",
            native_id=str(item["id"]),
            name=str(item["slug"]),
            address=f"{place.address} integration {item['slug']}",
            enabled=bool(item["active"]),
            created_at=utc_time(item.get("created_at")),
            tags={"inherited": "true"} if item.get("inherited") else {},
        )

    yield from scope.at(place).listing(
        "/projects/:id/integrations",
        convert,
        table="identities",
        kind="gitlab-integration",
        needs="Maintainer of the project",
        rows=rows,
    )
