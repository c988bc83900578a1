"""A sandbox for a small JSON API, defined by its answers alone: enough for a new collector and its contract tests::

    API = JsonApi("toy", {"/robots": [{"id": 1}, {"id": 2}], "/robots/{robot}/keys": lambda robot: [{"id": f"{robot}-a"}]})
    TestContract = standard_collector_tests(toy_collector, API)

The API accepts one bearer token. It cuts lists into pages of two and links them in the ``Link`` header (RFC 8288), with the
total in ``X-Total-Count``. A provider that pages, authenticates or limits differently derives from
`sandbox.kit.api.HttpSandbox` instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from sandbox.kit.api import ApiCall, HttpSandbox
from sandbox.kit.elsewhere import Elsewhere
from sandbox.kit.http import HttpRequest, RefusedError, Reply, reply
from sandbox.kit.issued import secret_value
from sandbox.kit.paging import link_header, numbered, whole_number
from sandbox.kit.routes import RouteTable
from sandbox.kit.trial import Trial, TrialNight

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.kit.authority import CertificateAuthority
    from scanner.collect.collector import Collector

Answers: TypeAlias = "Mapping[str, Any | Callable[..., Any]]"
"""Path template to an object, a list, or a function of the template's parameters that returns either."""
PAGE_SIZE = 2
_TOKEN = "SANDBOX_TOKEN"


class JsonApiSandbox(HttpSandbox):
    """One API on 127.0.0.1, the same every night."""

    def __init__(
        self, provider: str, answers: Answers, *, authority: CertificateAuthority | None = None
    ) -> None:
        super().__init__(provider, authority=authority)
        self.answers = answers
        self.token = secret_value(f"json-api-{provider}")
        self._routes = RouteTable(("GET", template, template) for template in answers)

    def section(self) -> dict[str, Any]:
        return {"base_url": self.url, "token": f"${{env:{_TOKEN}}}"}

    def environment(self) -> dict[str, str]:
        return {_TOKEN: self.token}

    def show(self, night: int) -> None:
        """Change nothing."""

    def recognize(self, request: HttpRequest) -> ApiCall:
        template, values = self._routes.find(request.method, request.path) or (request.path, {})
        name = f"{request.method} {template}"
        return ApiCall(request=request, name=name, template=template, path=request.path, values=values)

    def answer(self, call: ApiCall) -> Reply:
        if self.credential(call.request) != f"Bearer {self.token}":
            raise RefusedError(401, "the token is not valid")
        if call.template not in self.answers:
            raise RefusedError(404, "there is no such path")
        answer = self.answers[call.template]
        body = answer(**call.values) if callable(answer) else answer
        if not isinstance(body, list):
            return reply(200, body)
        number = whole_number(call.request.query.get("page"), 1)
        page = numbered(body, number, PAGE_SIZE)
        following = {"next": {"page": str(number + 1)}} if page.more else {}
        link = link_header(call.path, call.request.query, following)
        return reply(200, page.rows, {"X-Total-Count": str(page.total), "Link": link})


class JsonApi:
    """The definition of an API: what `standard_collector_tests` and `night_of` open."""

    VARIANTS = ("usual",)

    def __init__(self, provider: str, answers: Answers) -> None:
        self.provider = provider
        self.answers = answers

    def open_sandbox(
        self, size: str = "small", variant: str = "usual", *, authority: CertificateAuthority | None = None
    ) -> JsonApiSandbox:
        """Return the sandbox, which answers once it is entered. There is one size and one variant."""
        return JsonApiSandbox(self.provider, self.answers, authority=authority)

    def night_of(self, collector: Collector) -> TrialNight:
        """Return what a collector reads from the API in one night."""
        with self.open_sandbox() as sandbox, Elsewhere() as elsewhere:
            return Trial(collector, sandbox, elsewhere).night()
