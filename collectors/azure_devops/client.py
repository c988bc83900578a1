"""The clients for one organization: one for each host, with one credential and one rate limit.

https://learn.microsoft.com/azure/devops/integrate/concepts/rate-limits : a delayed response is 200 with ``Retry-After``.
https://learn.microsoft.com/rest/api/azure/devops
"""

from __future__ import annotations

import base64
import threading
from typing import TYPE_CHECKING

from collectors._microsoft.sign_in import MicrosoftAuth
from collectors.azure_devops.calls import CHECKS, PAGED, SETTINGS
from scanner.collect.auth import IssuedToken, TokenAuth
from scanner.collect.dialect import Dialect
from scanner.collect.limiter import Limiter
from scanner.collect.rest import RestClient

if TYPE_CHECKING:
    from collectors.azure_devops.config import Config
    from scanner.collect.collector import Run
    from scanner.collect.failures import SourceError
    from scanner.records import Reason

RESOURCE = "499b84ac-1321-427f-aa17-267ca6975798"
"""Azure DevOps as a resource of Entra ID.
https://learn.microsoft.com/azure/devops/integrate/get-started/authentication/service-principal-managed-identity"""


class DevOpsDialect(Dialect):
    """A wrong credential is answered with 203 and a sign-in page."""

    headers = {"Accept": "application/json", "X-TFS-FedAuthRedirect": "Suppress"}  # noqa: RUF012

    def reason(self, status: int) -> Reason:
        """Return ``denied`` for 203, and the usual reason for others."""
        return "denied" if status == 203 else super().reason(status)


class KeptTemplates:
    """Texts of templates by project, repository, path and ref, which many pipelines share. Thread-safe, and bounded."""

    def __init__(self, characters: int = 2**23) -> None:
        self._left = characters
        self._texts: dict[tuple[str, ...], str | SourceError] = {}
        self._lock = threading.Lock()

    def get(self, place: tuple[str, str, str, str | None]) -> str | SourceError | None:
        """Return the text, or why there is none; None if nobody asked."""
        return self._texts.get(tuple(part or "" for part in place))

    def keep(self, place: tuple[str, str, str, str | None], found: str | SourceError) -> None:
        """Keep what was found, as long as there is room."""
        with self._lock:
            size = len(found) if isinstance(found, str) else 100
            if size <= self._left:
                self._left -= size
                self._texts[tuple(part or "" for part in place)] = found


class DevOpsClients:
    """The hosts of one organization: one client for each."""

    def __init__(self, config: Config, run: Run, organization: str) -> None:
        self._sign_in: MicrosoftAuth | None = None
        if config.token is not None:
            token = config.token
            auth: TokenAuth = TokenAuth(
                lambda: IssuedToken(value=base64.b64encode(f":{token.read()}".encode()).decode()),
                prefix="Basic ",
            )
        else:
            auth = self._sign_in = MicrosoftAuth(config, RESOURCE, run)
        limiter = Limiter(
            spacing=config.seconds_between_requests,
            longest_wait=config.longest_wait_seconds,
            stopping=run.stopping,
        )

        def client(base: str) -> RestClient:
            url = f"{base}/{organization}"
            return RestClient(
                url,
                config,
                run,
                auth=auth,
                dialect=DevOpsDialect(),
                posts=[CHECKS, SETTINGS],
                paginator=PAGED,
                limiter=limiter,
            )

        self.templates = KeptTemplates()
        self.commits: dict[tuple[str, str, str | None], str | None] = {}
        """The commit of each project, repository and ref that was asked for tonight; None if it is not known."""
        self.main = client(config.base_url)
        self.release = client(config.release_url)
        self.graph = client(config.graph_url)
        self.entitlement = client(config.entitlement_url)
        self.extension = client(config.extension_url)
        self.audit = client(config.audit_url)
        self.security = client(config.security_url)
        self.feeds = client(config.feeds_url)

    def close(self) -> None:
        """Close every connection."""
        for client in (
            self.main,
            self.release,
            self.graph,
            self.entitlement,
            self.extension,
            self.audit,
            self.security,
            self.feeds,
        ):
            client.close()
        if self._sign_in is not None:
            self._sign_in.close()
