"""The kit of the sandboxes: server, TLS, routes, tokens, limits, pages, conditional requests and every fault."""

from __future__ import annotations

import gzip
import io
import json
import socket
import ssl
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from sandbox.kit import faults, paging
from sandbox.kit.api import ApiCall, HttpSandbox
from sandbox.kit.authority import CertificateAuthority
from sandbox.kit.conditional import conditional
from sandbox.kit.faults import DEPTH, HUGE
from sandbox.kit.http import HttpRequest, RefusedError, Reply, reply, request
from sandbox.kit.limits import RateBuckets
from sandbox.kit.routes import RouteTable
from sandbox.kit.tokens import KnownToken, TokenStore

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = [{"id": number, "name": f"row {number}"} for number in range(5)]


class Rows(HttpSandbox):
    """A list of five rows in pages of two."""

    provider = "rows"

    def section(self) -> dict[str, Any]:
        return {"url": self.origin}

    def environment(self) -> dict[str, str]:
        return {}

    def show(self, night: int) -> None:
        pass

    def recognize(self, request: HttpRequest) -> ApiCall:
        template = "/rows" if request.path == "/rows" else request.path
        return ApiCall(
            request=request, name=f"{request.method} {template}", template=template, path=request.path
        )

    def answer(self, call: ApiCall) -> Reply:
        if call.template != "/rows":
            raise RefusedError(404, "No such list")
        page = paging.numbered(ROWS, paging.whole_number(call.request.query.get("page"), 1), 2)
        found = reply(200, {"total_count": page.total, "rows": list(page.rows)})
        if page.more:
            number = page.start // 2 + 2
            found.headers["Link"] = paging.link_header(
                f"{self.origin}/rows", {}, {"next": {"page": str(number)}}
            )
        return found


@pytest.fixture
def api() -> Iterator[Rows]:
    with Rows("rows") as sandbox:
        yield sandbox


def get(api: HttpSandbox, path: str = "/rows", **headers: str) -> requests.Response:
    return requests.get(f"{api.origin}{path}", headers=headers, timeout=5, allow_redirects=False)


def test_requests_are_counted_and_logged(api: Rows) -> None:
    assert get(api, "/rows?page=3").json()["rows"] == [ROWS[4]]
    assert get(api, "/other").status_code == 404
    assert api.calls == {"GET /rows": 1, "GET /other": 1}
    assert [(call.line, call.status) for call in api.log] == [("GET /rows?page=3", 200), ("GET /other", 404)]


STATUS: dict[str, tuple[int, str | None, bytes | None]] = {
    "too-many": (429, "Retry-After", None),
    "too-many-bare": (429, None, None),
    "asks-to-wait": (200, "Retry-After", None),
    "html": (200, None, None),
    "html-502": (502, None, None),
    "empty-body": (200, None, b""),
    "empty-object": (200, None, b"{}"),
    "empty-list": (200, None, b"[]"),
    "null": (200, None, b"null"),
}


@pytest.mark.parametrize("kind", STATUS)
def test_a_fault_has_its_status_headers_and_body(api: Rows, kind: str) -> None:
    status, header, body = STATUS[kind]
    api.fail("GET /rows", kind)
    answer = get(api)
    assert answer.status_code == status
    assert ("Retry-After" in answer.headers) == (header == "Retry-After")
    assert body is None or answer.content == body
    assert answer.headers["Content-Type"].startswith("text/html" if "html" in kind else "application/json")


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_any_status_can_be_answered(api: Rows, status: int) -> None:
    api.fail("/rows", status)
    assert get(api).status_code == status


def test_connections_are_closed_and_cut(api: Rows) -> None:
    api.fail("/rows", "closed")
    with pytest.raises(requests.ConnectionError):
        get(api)
    api.heal()
    api.fail("/rows", "cut", after_bytes=10)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="10 bytes read"):
        get(api)


def test_a_slow_answer_comes_byte_by_byte(api: Rows) -> None:
    api.fail("/rows", "slow")
    begun = time.monotonic()
    with requests.get(f"{api.origin}/rows", timeout=5, stream=True) as answer:
        first = answer.raw.read(3)
    assert first == b'{"t'
    assert time.monotonic() - begun >= 2 * faults.DRIP_SECONDS


def test_a_slow_answer_does_not_hold_up_the_servers_end() -> None:
    with Rows("rows") as api:
        api.fail("/rows", "slow")
        answer = requests.get(f"{api.origin}/rows", timeout=5, stream=True)
        begun = time.monotonic()
    assert time.monotonic() - begun < 2
    answer.close()


def test_a_huge_answer_says_its_length_and_goes_on_coming(api: Rows) -> None:
    api.fail("/rows", "huge")
    with requests.get(f"{api.origin}/rows", timeout=5, stream=True) as answer:
        assert int(answer.headers["Content-Length"]) == HUGE
        assert len(answer.raw.read(2**22)) == 2**22


def test_a_gzip_bomb_is_small_on_the_wire(api: Rows) -> None:
    api.fail("/rows", "gzip-bomb")
    with requests.get(f"{api.origin}/rows", timeout=5, stream=True) as answer:
        packed = answer.raw.read(decode_content=False)
    assert len(packed) < HUGE / 500
    with gzip.open(io.BytesIO(packed)) as unpacked:
        assert len(unpacked.read(2**25)) == 2**25


def test_deep_nesting(api: Rows) -> None:
    api.fail("/rows", "deep")
    text = get(api).text
    assert text.count("[") == text.count("]") == DEPTH
    with pytest.raises(RecursionError):
        json.loads(text)


def test_half_a_body_is_no_json(api: Rows) -> None:
    api.fail("/rows", "malformed")
    with pytest.raises(requests.JSONDecodeError):
        get(api).json()


def test_links_lead_astray(api: Rows) -> None:
    api.elsewhere = "http://localhost:9"
    api.fail("/rows", "looping-next", times=1)
    assert get(api, "/rows?page=3").links["next"]["url"] == f"{api.origin}/rows?page=3"
    api.fail("/rows", "foreign-next", times=1)
    assert get(api).links["next"]["url"] == "http://localhost:9/rows"
    api.fail("/rows", "foreign-redirect", times=1)
    assert (moved := get(api)).status_code == 302
    assert moved.headers["Location"] == "http://localhost:9/rows"


def test_a_lone_surrogate_stands_in_the_first_text(api: Rows) -> None:
    api.fail("/rows", "surrogate")
    assert get(api).json()["rows"][0]["name"] == "\ud800row 0"


def test_a_short_list_says_a_total_that_did_not_come(api: Rows) -> None:
    api.fail("/rows", "short")
    assert get(api).json() == {"total_count": 5, "rows": []}
    assert faults.says_total(reply(200, {"total_count": 5, "rows": []}))
    assert faults.says_total(reply(200, [], {"X-Total": "3"}))
    assert not faults.says_total(reply(200, {"total_count": 0, "rows": []}))
    assert not faults.says_total(reply(200, [{"count": 4}]))


@pytest.mark.parametrize("kind", faults.KIT_FAULTS)
def test_a_fault_strikes_once_and_only_where_it_was_set(api: Rows, kind: str) -> None:
    api.fail("/other", kind)
    assert get(api).json()["rows"] == ROWS[:2]
    api.heal()
    api.fail("/rows", kind, times=1)
    with requests.Session() as session:
        try:
            session.get(f"{api.origin}/rows", timeout=5, stream=True, allow_redirects=False).close()
        except requests.RequestException:
            assert kind in {"closed", "cut"}
    assert get(api).json()["rows"] == ROWS[:2]


def test_a_fault_waits_for_its_page_or_for_a_token_that_was_used(api: Rows) -> None:
    api.fail("/rows", 500, from_request=3)
    assert [get(api).status_code for _ in range(4)] == [200, 200, 500, 500]
    api.heal()
    api.fail("*", 401, after_uses=2)
    one = [get(api, Authorization="token one").status_code for _ in range(3)]
    other = get(api, Authorization="token other").status_code
    assert (one, other) == ([200, 200, 401], 200)


def test_tls_is_for_those_who_trust_the_authority() -> None:
    with CertificateAuthority() as authority, Rows("rows", authority=authority) as api:
        assert api.origin.startswith("https://")
        assert api.bundle is not None
        answer = requests.get(f"{api.origin}/rows", timeout=5, verify=str(api.bundle))
        assert answer.json()["total_count"] == 5
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{api.origin}/rows", timeout=5)
        strict = ssl.create_default_context(cafile=str(api.bundle))
        strict.verify_flags |= ssl.VERIFY_X509_STRICT
        where = urlsplit(api.origin)
        with (
            socket.create_connection((where.hostname or "", where.port or 0)) as raw,
            strict.wrap_socket(raw, server_hostname="localhost") as secure,
        ):
            assert secure.version() in {"TLSv1.2", "TLSv1.3"}
    assert not api.bundle.exists()


def test_a_client_that_never_shakes_hands_does_not_block_others() -> None:
    with CertificateAuthority() as authority, Rows("rows", authority=authority) as api:
        where = urlsplit(api.origin)
        with socket.create_connection((where.hostname or "", where.port or 0)):
            answer = requests.get(f"{api.origin}/rows", timeout=5, verify=str(api.bundle))
    assert answer.status_code == 200


def test_the_first_route_that_fits_wins_and_parameters_stay_quoted() -> None:
    table = RouteTable(
        [
            ("GET", "/repos/{owner}/latest", "latest"),
            ("GET", "/repos/{owner}/{repo}", "one"),
            ("POST", "/repos/{owner}/{repo}", "made"),
            ("GET", "/files/{path}", "file"),
            ("GET", "/groups/:id/hooks", "hooks"),
        ]
    )
    assert table.find("GET", "/repos/acme/latest") == ("latest", {"owner": "acme"})
    assert table.find("GET", "/repos/acme/a%2Fb") == ("one", {"owner": "acme", "repo": "a%2Fb"})
    assert table.find("POST", "/repos/acme/app") == ("made", {"owner": "acme", "repo": "app"})
    assert table.find("GET", "/files/a/b/c.txt") == ("file", {"path": "a/b/c.txt"})
    assert table.find("GET", "/groups/7/hooks") == ("hooks", {"id": "7"})
    assert table.find("GET", "/repos/acme") is None


def test_what_is_revoked_is_revoked_everywhere_and_can_be_given_back() -> None:
    store: TokenStore[KnownToken] = TokenStore()
    first = store.add(KnownToken(value="a", scopes={"repo", "user"}))
    second = store.add(KnownToken(value="b", permissions={"repo": "read"}))
    store.revoke("repo")
    assert (first.scopes, second.permissions) == ({"user"}, {})
    assert store.revoked == {"repo"}
    store.restore()
    assert (first.scopes, second.permissions) == ({"user", "repo"}, {"repo": "read"})
    assert store.get("a") is first
    assert store.get("c") is None


def test_buckets_fill_by_token_and_empty_with_time() -> None:
    buckets = RateBuckets(scale=600)
    assert [buckets.spend("a", "core", 2, 60)[1] for _ in range(3)] == [True, True, False]
    assert buckets.spend("b", "core", 2, 60)[1]
    buckets.refund("a", "core")
    assert buckets.window("a", "core", 2, 60).remaining == 1
    buckets.exhaust("a", "core", 2, 60)
    window, there = buckets.spend("a", "core", 2, 60)
    assert not there
    assert window.retry_after == 1
    time.sleep(0.15)
    assert buckets.spend("a", "core", 2, 60)[1]


def test_no_more_than_so_many_at_once() -> None:
    buckets = RateBuckets(concurrent=1)
    assert buckets.enter()
    assert not buckets.enter()
    buckets.leave()
    assert buckets.enter()


def pages_by_token() -> list[list[int]]:
    found, token = [], None
    while True:
        page, token = paging.continued(range(5), token, 2)
        found.append(list(page.rows))
        if token is None:
            return found


def pages_by_key() -> list[list[int]]:
    found: list[list[int]] = []
    after: str | None = None
    while not found or len(found[-1]) == 2:
        page = paging.keyset(range(5), str, after, 2)
        found.append(list(page.rows))
        after = str(page.rows[-1])
    return found


def pages_by_cursor() -> list[list[int]]:
    found: list[list[int]] = []
    after: str | None = None
    while True:
        answer: dict[str, Any] = paging.connection(range(5), 2, after, lambda row: row)
        assert answer["totalCount"] == 5
        found.append(answer["nodes"])
        after = answer["edges"][-1]["cursor"]
        assert answer["pageInfo"]["endCursor"] == after
        if not answer["pageInfo"]["hasNextPage"]:
            return found


def test_every_way_of_paging_gives_every_row_once() -> None:
    wanted = [[0, 1], [2, 3], [4]]
    assert pages_by_token() == pages_by_key() == pages_by_cursor() == wanted
    assert [list(paging.numbered(range(5), number, 2).rows) for number in (1, 2, 3)] == wanted
    assert [list(paging.offset(range(5), start, 2).rows) for start in (0, 2, 4)] == wanted
    assert [paging.numbered(range(5), number, 2).more for number in (1, 2, 3)] == [True, True, False]
    ends = [paging.numbered(range(5), number, 2) for number in (1, 2, 3)]
    assert all(one.end == two.start for one, two in pairwise(ends))


def test_a_unknown_token_is_refused() -> None:
    for token in ("nonsense", "bm9uc2Vuc2U=", paging.token_at(2)[:-4]):
        with pytest.raises(RefusedError):
            paging.position(token)


def test_links_keep_the_rest_of_the_query() -> None:
    link = paging.next_link("https://host/list", {"api-version": "7.1", "$skip": "0"}, **{"$skip": "2"})
    assert dict(parse_qsl(urlsplit(link).query)) == {"api-version": "7.1", "$skip": "2"}


def test_a_page_that_did_not_change_is_a_304() -> None:
    asked = request("GET", "/rows", {}, b"")
    first = reply(200, ROWS)
    assert not conditional(asked, first, varies="token")
    again = request("GET", "/rows", {"if-none-match": first.headers["ETag"]}, b"")
    second, other = reply(200, ROWS), reply(200, ROWS)
    assert conditional(again, second, varies="token")
    assert (second.status, second.body) == (304, b"")
    assert not conditional(again, other, varies="another token")
    refused = reply(403, {})
    assert not conditional(again, refused)
    assert "ETag" not in refused.headers
