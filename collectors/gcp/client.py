"""The client for Google Cloud's REST APIs: GET, and one POST that reads a project's IAM policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.gcp.calls import APIS, PROJECT_POLICY
from collectors.gcp.sign_in import GoogleAuth
from scanner.collect.dialect import Dialect
from scanner.collect.paging import TokenInBody
from scanner.collect.rest import RestClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collectors.gcp.config import Config
    from scanner.collect.answers import Answer
    from scanner.collect.collector import Run


class GoogleDialect(Dialect):
    """Each API has its own quota, and searches have one apart from lists.

    https://docs.cloud.google.com/asset-inventory/docs/quota
    """

    def __init__(self, quota_project: str | None) -> None:
        if quota_project:
            self.headers: Mapping[str, str] = {**Dialect.headers, "x-goog-user-project": quota_project}

    def bucket(self, method: str, path: str) -> str:  # noqa: ARG002
        """Return ``searches``, ``activities`` or ``requests``."""
        if path.endswith(":searchAllIamPolicies"):
            return "searches"
        return "activities" if path.endswith("activities:query") else "requests"

    def throttled(self, answer: Answer) -> bool:
        """Return whether a response is an exhausted quota: 429, or 403 with the older reason of the storage API.

        https://docs.cloud.google.com/storage/docs/json_api/v1/status-codes
        """
        return super().throttled(answer) or (answer.status == 403 and b"ateLimitExceeded" in answer.content)


class GoogleClient(RestClient):
    """Reads what one credential sees of one organization or project."""

    def __init__(self, config: Config, run: Run) -> None:
        self._endpoint = config.endpoint
        self.sign_in = GoogleAuth(config, run)
        bases = [config.endpoint.replace("{api}", api) for api in APIS]
        super().__init__(
            bases[0],
            config,
            run,
            auth=self.sign_in,
            dialect=GoogleDialect(config.quota_project),
            origins=bases[1:],
            posts=[self.at(PROJECT_POLICY)],
            paginator=TokenInBody(omits_empty=True),
        )

    def close(self) -> None:
        """Close every connection."""
        super().close()
        self.sign_in.close()

    def at(self, call: str) -> str:
        """Return the URL of a call that names its API first."""
        api, _, path = call.lstrip("/").partition("/")
        return f"{self._endpoint.replace('{api}', api)}/{path}"
