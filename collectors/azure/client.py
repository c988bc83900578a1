"""The client for Azure Resource Manager: GET, and queries of Azure Resource Graph.

https://learn.microsoft.com/azure/governance/resource-graph/concepts/work-with-data,
https://learn.microsoft.com/azure/governance/resource-graph/concepts/guidance-for-throttled-requests
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from collectors._microsoft.sign_in import IMPORTING, BoundedSession, MicrosoftAuth
from collectors.azure.calls import GRAPH
from collectors.azure.facts import EligibleRole
from scanner.collect.answers import AnswerObject
from scanner.collect.failures import SourceError, reason_of
from scanner.collect.paging import NextLink
from scanner.collect.rest import Dialect, RestClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azure.core.credentials import AccessToken

    from collectors.azure.config import Config
    from scanner.collect.collector import Run

ROWS = 1000
"""The largest page of a query."""


class _SharedToken:
    """The client's own token, for the library."""

    def __init__(self, sign_in: MicrosoftAuth) -> None:
        self._sign_in = sign_in

    def get_token(self, *_scopes: str, **_: Any) -> AccessToken:
        """Return a token that is good for some minutes."""
        from azure.core.credentials import AccessToken

        value = self._sign_in.headers()["Authorization"].removeprefix("Bearer ")
        return AccessToken(value, int(time.time()) + 300)


class ArmDialect(Dialect):
    """Queries have a rate limit of their own."""

    def bucket(self, method: str, path: str) -> str:  # noqa: ARG002  the protocol's
        """Return ``queries`` or ``requests``."""
        return "queries" if method == "POST" else "requests"


class ArmClient(RestClient):
    """Reads what one application sees of one tenant."""

    def __init__(self, config: Config, run: Run) -> None:
        self._management = config.management_url
        self.sign_in = MicrosoftAuth(config, config.management_url, run)
        super().__init__(
            config.management_url,
            config,
            run,
            auth=self.sign_in,
            dialect=ArmDialect(),
            posts=[GRAPH],
            paginator=NextLink(link="nextLink"),
        )

    def close(self) -> None:
        """Close every connection."""
        super().close()
        self.sign_in.close()

    def eligible_roles(self, subscription: str) -> Iterator[EligibleRole]:
        """Yield the assignments of a subscription that may be activated. Raises `SourceError`."""
        with IMPORTING:
            from azure.core.exceptions import AzureError, HttpResponseError
            from azure.core.pipeline.transport import RequestsTransport
            from azure.mgmt.authorization import AuthorizationManagementClient

        session = BoundedSession(self._transport, frozenset((self._management.lower(),)), largest=2**26)
        client = AuthorizationManagementClient(
            credential=_SharedToken(self.sign_in),
            subscription_id=subscription,
            base_url=self._management,
            credential_scopes=[f"{self._management}/.default"],
            transport=RequestsTransport(session=session, session_owner=False),
            retry_total=self.config.retries,
            retry_backoff_max=5,
        )
        try:
            pages = client.role_eligibility_schedule_instances.list_for_scope(
                f"subscriptions/{subscription}"
            ).by_page()
            seen: set[str] = set()
            for page in pages:
                for item in page:
                    yield EligibleRole(
                        name=str(item.name),
                        scope=str(item.scope or ""),
                        principal_id=str(item.principal_id),
                        role_definition_id=str(item.role_definition_id),
                        member_type=str(item.member_type or ""),
                        condition=item.condition,
                        until=item.end_date_time,
                    )
                # The library follows any link, also to a page that it read already.
                link = str(getattr(pages, "continuation_token", None) or "")
                if link in seen or len(seen) >= self.config.max_pages:
                    raise SourceError("malformed", "the next link points to a page already read")
                seen.add(link)
        except HttpResponseError as exc:
            status = exc.status_code or 0
            if session.failure is not None:
                raise session.failure from None
            if status < 400:
                raise SourceError("malformed", f"HTTP {status}: {exc.message}", status=status) from None
            raise SourceError(reason_of(status), f"HTTP {status}: {exc.message}", status=status) from None
        except (AzureError, ValueError, TypeError, AttributeError) as exc:
            # The last three: a response that the library cannot take apart.
            raise session.failure or SourceError("malformed", f"{type(exc).__name__}: {exc}") from None
        finally:
            client.close()  # type: ignore[no-untyped-call]  # untyped in this library

    def query(self, text: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a query over the whole tenant, management groups and the root included.

        Raises `SourceError`: truncated if fewer rows came than the service counts.
        """
        path = f"{GRAPH}?api-version=2024-04-01"
        options: dict[str, Any] = {
            "resultFormat": "objectArray",
            "$top": ROWS,
            "authorizationScopeFilter": "AtScopeAboveAndBelow",
        }
        seen: set[str] = set()
        count = 0
        while True:
            answer = self.post(path, {"query": text, "options": options})
            body = answer.body
            rows = body.get("data") if isinstance(body, dict) else None
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise SourceError("malformed", "the query's response has no list of rows in data")
            for row in rows:
                count += 1
                yield AnswerObject(row)
            token = body.get("$skipToken")
            total = body.get("totalRecords")
            if not token:
                cut = str(body.get("resultTruncated", "false")).lower() == "true"
                if cut or (isinstance(total, int) and count < total):
                    raise SourceError("truncated", f"{count} of {total} rows were returned")
                return
            if token in seen or len(seen) >= self.config.max_pages:
                raise SourceError("malformed", "the query's response leads to a page already read")
            seen.add(str(token))
            options = {**options, "$skipToken": token}
