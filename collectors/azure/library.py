"""Role assignments and definitions of one subscription, through azure-mgmt-authorization: for tenants that deny Resource Graph.

https://learn.microsoft.com/python/api/azure-mgmt-authorization
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from collectors._microsoft.sign_in import IMPORTING, BoundedSession
from scanner.collect.failures import SourceError, reason_of
from scanner.collect.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from azure.core.credentials import AccessToken
    from azure.mgmt.authorization import AuthorizationManagementClient

    from collectors._microsoft.sign_in import MicrosoftAuth
    from collectors.azure.config import Config
    from scanner.collect.collector import Run


class _SharedToken:
    """The client's own token, for the library."""

    def __init__(self, sign_in: MicrosoftAuth) -> None:
        self._sign_in = sign_in

    def get_token(self, *_scopes: str, **_: Any) -> AccessToken:
        """Return a token that is good for some minutes."""
        from azure.core.credentials import AccessToken

        value = self._sign_in.headers()["Authorization"].removeprefix("Bearer ")
        return AccessToken(value, int(time.time()) + 300)


class AuthorizationLibrary:
    """Asks one subscription at a time. Rows are as Resource Graph shows them: ``id``, ``name``, ``properties``."""

    def __init__(self, config: Config, run: Run, sign_in: MicrosoftAuth) -> None:
        self._config = config
        self._sign_in = sign_in
        self._transport = Transport(config, run.stopping, run.clock)

    def close(self) -> None:
        """Close every connection."""
        self._transport.close()

    def assignments(self, subscription: str) -> Iterator[dict[str, Any]]:
        """Yield the role assignments at a subscription, below it and inherited. Raises `SourceError`."""
        yield from self._rows(subscription, lambda client: client.role_assignments.list_for_subscription())

    def definitions(self, subscription: str) -> Iterator[dict[str, Any]]:
        """Yield the role definitions that can be assigned in a subscription. Raises `SourceError`."""
        yield from self._rows(
            subscription, lambda client: client.role_definitions.list(scope=f"subscriptions/{subscription}")
        )

    def _rows(
        self, subscription: str, ask: Callable[[AuthorizationManagementClient], Any]
    ) -> Iterator[dict[str, Any]]:
        with IMPORTING:
            from azure.core.exceptions import AzureError, HttpResponseError
            from azure.core.pipeline.transport import RequestsTransport
            from azure.mgmt.authorization import AuthorizationManagementClient

        url = self._config.management_url
        session = BoundedSession(self._transport, frozenset((url.lower(),)), largest=2**26)
        client = AuthorizationManagementClient(
            credential=_SharedToken(self._sign_in),
            subscription_id=subscription,
            base_url=url,
            credential_scopes=[f"{url}/.default"],
            transport=RequestsTransport(session=session, session_owner=False),
            retry_total=self._config.retries,
            retry_backoff_max=5,
        )
        try:
            pages = ask(client).by_page()
            seen: set[str] = set()
            for page in pages:
                for item in page:
                    yield _row(item)
                # The library follows any link, also to a page that it read already.
                link = str(getattr(pages, "continuation_token", None) or "")
                if link in seen or len(seen) >= self._config.max_pages:
                    raise SourceError("malformed", "the next link points to a page already read")
                seen.add(link)
        except HttpResponseError as exc:
            status = exc.status_code or 0
            if session.failure is not None:
                raise session.failure from None
            reason = "malformed" if status < 400 else reason_of(status)
            raise SourceError(reason, f"HTTP {status}: {exc.message}", status=status) from None
        except (AzureError, ValueError, TypeError, AttributeError) as exc:
            # The last three: a response that the library cannot take apart.
            raise session.failure or SourceError("malformed", f"{type(exc).__name__}: {exc}") from None
        finally:
            client.close()  # type: ignore[no-untyped-call]  # untyped in this library


def _row(item: Any) -> dict[str, Any]:
    """Return an object of the library as the service sent it.

    The library's permissions have no condition: it keeps what it does not know aside.
    """
    row: dict[str, Any] = item.serialize(keep_readonly=True)
    elements = row.get("properties", {}).get("permissions") or []
    for element, read in zip(elements, getattr(item, "permissions", None) or [], strict=False):
        element.update(read.additional_properties or {})
    return row
