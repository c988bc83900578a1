"""A sandbox for a small JSON API, defined by its answers alone: enough for a new collector and its contract tests::

    API = JsonApi("toy", {"/robots": [{"id": 1}, {"id": 2}], "/robots/{robot}/keys": lambda robot: [{"id": f"{robot}-a"}]})
    TestContract = standard_collector_tests(toy_collector, API)

The API accepts one token. It cuts lists into pages of two, in the way of a paginator, by default with the ``Link`` header
(RFC 8288) and the total in ``X-Total-Count``::

    JsonApi("toy", answers, pages=TokenInBody(at="data", token="next", parameter="cursor"), header="X-Api-Key", prefix="")

An answer that is a status (``403``) refuses. ``permissions`` are what the token holds, each with the paths that need it: the
contract tests take them away one by one. A provider that differs more derives from `sandbox.kit.api.HttpSandbox` instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from sandbox.kit.api import ApiCall, HttpSandbox
from sandbox.kit.elsewhere import Elsewhere
from sandbox.kit.http import HttpRequest, RefusedError, Reply, reply
from sandbox.kit.issued import secret_value
from sandbox.kit.paging import (
    CutPage,
    continued,
    keyset,
    link_header,
    next_link,
    numbered,
    offset,
    position,
    token_at,
    whole_number,
)
from sandbox.kit.routes import RouteTable
from sandbox.kit.trial import Trial, TrialNight
from scanner.collect.paging import (
    Keyset,
    LinkHeader,
    NextLink,
    Offset,
    PageNumber,
    Paginator,
    TokenInBody,
    TokenInHeader,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from sandbox.kit.authority import CertificateAuthority
    from scanner.collect.collector import Collector

Answers: TypeAlias = "Mapping[str, Any | Callable[..., Any]]"
"""Path template to an object, a list, a status, or a function of the template's parameters that returns one of them."""
PAGE_SIZE = 2
BY_LINK = LinkHeader(total="X-Total-Count")
_TOKEN = "SANDBOX_TOKEN"


class JsonApi:
    """The definition of an API: what `standard_collector_tests` and `night_of` open."""

    VARIANTS = ("usual",)

    def __init__(
        self,
        provider: str,
        answers: Answers,
        *,
        pages: Paginator = BY_LINK,
        header: str = "Authorization",
        prefix: str = "Bearer ",
        permissions: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        """``pages`` says how lists are cut, ``header`` and ``prefix`` how the token is sent.

        ``permissions`` maps the name of each permission to the path templates that need it.
        """
        self.provider = provider
        self.answers = answers
        self.pages = pages
        self.header = header
        self.prefix = prefix
        self.permissions = permissions or {}

    def open_sandbox(
        self, size: str = "small", variant: str = "usual", *, authority: CertificateAuthority | None = None
    ) -> JsonApiSandbox:
        """Return the sandbox, which answers once it is entered. There is one size and one variant."""
        return JsonApiSandbox(self, authority=authority)

    def night_of(self, collector: Collector) -> TrialNight:
        """Return what a collector reads from the API in one night."""
        with self.open_sandbox() as sandbox, Elsewhere() as elsewhere:
            return Trial(collector, sandbox, elsewhere).night()


class JsonApiSandbox(HttpSandbox):
    """One API on 127.0.0.1, the same every night."""

    def __init__(self, api: JsonApi, *, authority: CertificateAuthority | None = None) -> None:
        super().__init__(api.provider, authority=authority)
        self.api = api
        self.token = secret_value(f"json-api-{api.provider}")
        self._routes = RouteTable(("GET", template, template) for template in api.answers)
        self._revoked: set[str] = set()
        if not isinstance(api.pages, LinkHeader | NextLink):
            # There is no link to point anywhere, only a position in the same list.
            self.unfit = self.unfit | {"foreign-next"}
        if isinstance(api.pages, PageNumber | Offset | Keyset) or type(api.pages) is Paginator:
            self.unfit = self.unfit | {"looping-next"}

    def section(self) -> dict[str, Any]:
        return {"base_url": self.url, "token": f"${{env:{_TOKEN}}}"}

    def environment(self) -> dict[str, str]:
        return {_TOKEN: self.token}

    def show(self, night: int) -> None:
        """Change nothing."""

    def permissions(self) -> tuple[str, ...]:
        return tuple(self.api.permissions)

    def revoke(self, permission: str) -> None:
        self._revoked.add(permission)

    def restore(self) -> None:
        self._revoked.clear()

    def recognize(self, request: HttpRequest) -> ApiCall:
        template, values = self._routes.find(request.method, request.path) or (request.path, {})
        name = f"{request.method} {template}"
        return ApiCall(request=request, name=name, template=template, path=request.path, values=values)

    def credential(self, request: HttpRequest) -> str:
        return request.headers.get(self.api.header.lower(), "")

    def answer(self, call: ApiCall) -> Reply:
        if self.credential(call.request) != f"{self.api.prefix}{self.token}":
            raise RefusedError(401, "the token is not valid")
        if call.template not in self.api.answers:
            raise RefusedError(404, "there is no such path")
        for permission in sorted(self._revoked):
            if call.template in self.api.permissions[permission]:
                raise RefusedError(403, f"the token lacks {permission}")
        answer = self.api.answers[call.template]
        body = answer(**call.values) if callable(answer) else answer
        if isinstance(body, int):
            raise RefusedError(body, "refused")
        if not isinstance(body, list):
            return reply(200, body)
        return self._page(call, body)

    def lead_on(self, call: ApiCall, answer: Reply, url: str) -> None:
        match self.api.pages:
            case NextLink(link=place):
                _put_into(answer, place, url)
            case TokenInBody(token=place):
                _put_into(answer, place, token_at(position(self._token_of(call))))
            case TokenInHeader(header=name):
                answer.headers[name] = token_at(position(self._token_of(call)))
            case _:
                super().lead_on(call, answer, url)

    def _token_of(self, call: ApiCall) -> str | None:
        parameter = getattr(self.api.pages, "parameter", "$skiptoken")
        return call.request.query.get(parameter)

    def _page(self, call: ApiCall, rows: list[Any]) -> Reply:
        """Return one page of a list, in the way of the paginator."""
        query, pages = call.request.query, self.api.pages
        headers: dict[str, str] = {}
        body: dict[str, Any] = {}
        match pages:
            case LinkHeader():
                number = whole_number(query.get("page"), 1)
                page = numbered(rows, number, PAGE_SIZE)
                following = {"next": {"page": str(number + 1)}} if page.more else {}
                headers["Link"] = link_header(call.path, query, following)
            case NextLink():
                page, token = continued(rows, self._token_of(call), PAGE_SIZE)
                if token:
                    _put(
                        body, pages.link, next_link(f"{self.url}{call.path}", {**query, "$skiptoken": token})
                    )
            case TokenInBody():
                page, token = continued(rows, self._token_of(call), PAGE_SIZE)
                _put(body, pages.token, token)
            case TokenInHeader():
                page, token = continued(rows, self._token_of(call), PAGE_SIZE)
                headers |= {pages.header: token} if token else {}
            case PageNumber():
                number = int(query.get(pages.page, pages.start)) - pages.start + 1
                page = numbered(rows, number, PAGE_SIZE)
            case Offset():
                page = offset(rows, int(query.get(pages.offset, pages.start)) - pages.start, PAGE_SIZE)
            case Keyset():
                page = keyset(rows, lambda row: str(row[pages.key]), query.get(pages.parameter), PAGE_SIZE)
            case _:
                page = offset(rows, 0, len(rows))
        return self._written(page, body, headers)

    def _written(self, page: CutPage[Any], body: dict[str, Any], headers: dict[str, str]) -> Reply:
        pages = self.api.pages
        if pages.total and pages.at:
            _put(body, pages.total, page.total)
        elif pages.total:
            headers[pages.total] = str(page.total)
        if not pages.at:
            return reply(200, page.rows, headers)
        _put(body, pages.at, page.rows)
        if pages.page_count:
            _put(body, pages.page_count, len(page.rows))
        return reply(200, body, headers)


def _put(body: dict[str, Any], place: str, value: Any) -> None:
    """Set the value at a place of a body (``metadata/continue``)."""
    *outer, last = place.split("/")
    for key in outer:
        body = body.setdefault(key, {})
    body[last] = value


def _put_into(answer: Reply, place: str, value: Any) -> None:
    body = msgspec.json.decode(answer.body)
    if isinstance(body, dict):
        _put(body, place, value)
        answer.body = msgspec.json.encode(body)
