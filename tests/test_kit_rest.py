"""The client against a real server on loopback that answers badly on purpose."""

from __future__ import annotations

import gzip
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.kit.authority import CertificateAuthority
from sandbox.kit.http import Reply, reply
from sandbox.kit.server import LoopbackServer
from scanner.collect.auth import IssuedToken, TokenAuth
from scanner.collect.dialect import Dialect
from scanner.collect.failures import classify_error
from scanner.collect.memory import Memory
from scanner.collect.paging import (
    Keyset,
    LinkHeader,
    NextLink,
    Offset,
    PageNumber,
    Paginator,
    TokenInBody,
    TokenInHeader,
    next_link,
)
from scanner.records import Account
from tests.kit_source import CUT, NOW, Source, client, failure
from tests.sealed_night import FINGERPRINT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def source() -> Iterator[Source]:
    made = Source()
    yield made
    made.close()


def page(*numbers: int, **headers: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return reply(200, [{"id": number} for number in numbers], names)


def raw(body: bytes, status: int = 200, **headers: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, body=body, headers=names)


def ids(items: Iterator[dict[str, Any]]) -> list[int]:
    return [item["id"] for item in items]


# What is no answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (raw(b""), "empty"),
        (raw(b"  \n"), "empty"),
        (reply(200, {}), "list of objects"),
        (reply(200, [1, 2]), "list of objects"),
        (reply(200, None), "list of objects"),
        (raw(b"<html>Sign in</html>", Content_Type="text/html; charset=utf-8"), "HTML"),
        (raw(b"[" * 200_000 + b"]" * 200_000), "nested"),
        (raw(b'{"a":' * 150 + b"[]" + b"}" * 150), "nested"),
        (raw(b'[{"id": 1'), "not JSON"),
    ],
    ids=["nothing", "blanks", "object", "numbers", "null", "sign-in page", "200,000 deep", "150 deep", "cut"],
)
def test_what_is_no_list_is_malformed_and_never_empty(
    source: Source, tmp_path: Path, answer: Reply, words: str
) -> None:
    source.answers = [answer]
    problem = failure(lambda: ids(client(source, tmp_path).items("/things")))
    assert (problem.reason, words in problem.detail) == ("malformed", True), problem.detail


def test_a_sign_in_page_with_203_is_denied(source: Source, tmp_path: Path) -> None:
    source.answers = [raw(b"<html>Azure DevOps Services | Sign In</html>", 203, Content_Type="text/html")]
    assert failure(lambda: client(source, tmp_path).one("/me")).reason == "denied"


@pytest.mark.parametrize("body", [b'[{"id": "a\\ud800b"}]', b'[{"id": "a\xffb"}]'])
def test_invalid_unicode_is_replaced(source: Source, tmp_path: Path, body: bytes) -> None:
    source.answers = [raw(body)]
    assert list(client(source, tmp_path).items("/things")) == [{"id": "a\ufffdb"}]


def test_repairing_unicode_leaves_pairs_and_escaped_backslashes_alone(source: Source, tmp_path: Path) -> None:
    source.answers = [raw(b'[{"id": "\\ud83d\\ude00 \\\\ud800 \\ud800"}]')]
    assert list(client(source, tmp_path).items("/things")) == [{"id": "\U0001f600 \\ud800 \ufffd"}]


def test_a_gzip_bomb_is_given_up(source: Source, tmp_path: Path) -> None:
    bomb = gzip.compress(b"[" + b" " * 50_000_000 + b"]")
    assert len(bomb) < 100_000
    source.answers = [raw(bomb, Content_Encoding="gzip")]
    problem = failure(lambda: client(source, tmp_path, config={"largest_answer_mb": 1}).one("/things"))
    assert (problem.reason, "larger than 1048576 bytes" in problem.detail) == ("truncated", True)


def test_broken_gzip_is_malformed(source: Source, tmp_path: Path) -> None:
    source.answers = [raw(b"not gzip at all", Content_Encoding="gzip")]
    assert failure(lambda: client(source, tmp_path).one("/things")).reason == "malformed"


def test_the_sources_words_are_reported_and_our_credential_in_them_is_not(
    source: Source, tmp_path: Path
) -> None:
    source.answers = [reply(403, {"error": {"message": "token s3cr3t-value may not"}})]
    auth = TokenAuth(lambda: IssuedToken(value="s3cr3t-value"))
    problem = failure(lambda: client(source, tmp_path, auth=auth).one("/me"))
    assert (problem.reason, problem.status) == ("denied", 403)
    assert problem.detail == "HTTP 403: token [credential] may not"


@pytest.mark.parametrize(
    "item", [{"id": 1}, {"id": 1, "name": None}, {"id": 1, "name": {"first": None}}, {"id": 1, "name": {}}]
)
def test_a_name_that_is_missing_or_null_is_no_name(
    source: Source, tmp_path: Path, item: dict[str, Any]
) -> None:
    def named(shown: dict[str, Any]) -> Iterator[Account]:
        yield Account(
            id="x", provider="x", account_id="x", kind="k", native_id="1", name=str(shown["name"]["first"])
        )

    source.answers = [reply(200, [item])]
    problem = failure(lambda: list(client(source, tmp_path).records("/secrets", named)))
    assert problem.reason == "malformed"
    assert item.get("name") is None or "first" in problem.detail


def test_what_may_be_missing_or_null_is_read_with_get(source: Source, tmp_path: Path) -> None:
    source.answers = [
        reply(200, {"owner": None, "team": {"lead": None}, "tags": [{"key": "a", "value": None}]})
    ]
    shown = client(source, tmp_path).one("/secret")
    assert (shown.get("owner"), shown.get("elsewhere"), shown["team"].get("lead")) == (None, None, None)
    assert [(tag["key"], tag.get("value")) for tag in shown["tags"]] == [("a", None)]
    assert failure(lambda: shown["tags"][0]["value"]).reason == "malformed"


def test_a_field_that_an_item_lacks_is_the_sources_fault_and_a_key_of_ours_is_a_bug(
    source: Source, tmp_path: Path
) -> None:
    source.answers = [page(1)]
    (item,) = client(source, tmp_path).items("/things")
    assert item == {"id": 1}
    assert item.get("name") is None
    problem = failure(lambda: item["name"])
    assert (problem.reason, problem.detail) == ("malformed", "the response lacks the field 'name'")
    assert classify_error(KeyError("name")) is None


# Time


class Drip:
    """Answers one byte at a time, for ever."""

    def __init__(self, headers_too: bool) -> None:
        self.listener = __import__("socket").create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.closed = threading.Event()
        self.headers_too = headers_too
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        self.listener.settimeout(0.1)
        while not self.closed.is_set():
            try:
                peer, _ = self.listener.accept()
            except TimeoutError:
                continue
            with peer:
                peer.recv(65536)
                if not self.headers_too:
                    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
                else:
                    peer.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not self.closed.wait(0.1):
                    try:
                        peer.sendall(b" ")
                    except OSError:
                        break

    def close(self) -> None:
        self.closed.set()
        self.thread.join()
        self.listener.close()


@pytest.fixture(params=[False, True], ids=["body", "headers"])
def drip(request: pytest.FixtureRequest) -> Iterator[Drip]:
    made = Drip(request.param)
    yield made
    made.close()


def test_an_answer_that_drips_has_a_deadline_as_a_whole(drip: Drip, source: Source, tmp_path: Path) -> None:
    slow = client(source, tmp_path, base=drip.url, config={"answer_seconds": 1, "timeout_seconds": 1})
    began = time.monotonic()
    problem = failure(lambda: slow.one("/slow"))
    assert (problem.reason, "in time" in problem.detail) == ("unreachable", True), problem.detail
    assert time.monotonic() - began < 3
    slow.close()


def test_an_answer_that_drips_ends_when_the_run_stops(drip: Drip, source: Source, tmp_path: Path) -> None:
    stopping = threading.Event()
    slow = client(source, tmp_path, stopping, base=drip.url)
    threading.Timer(0.5, stopping.set).start()
    began = time.monotonic()
    assert failure(lambda: slow.one("/slow")).reason == "deadline"
    assert time.monotonic() - began < 3
    slow.close()


def test_a_silent_source_is_unreachable(source: Source, tmp_path: Path) -> None:
    with __import__("socket").create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        quiet = client(source, tmp_path, base=base, config={"timeout_seconds": 0.5})
        assert failure(lambda: quiet.one("/x")).reason == "unreachable"


def test_waiting_for_a_rate_limit_ends_when_the_run_stops(source: Source, tmp_path: Path) -> None:
    stopping = threading.Event()
    source.answers = [reply(429, {"message": "slow down"}, {"Retry-After": "4"})]
    threading.Timer(0.3, stopping.set).start()
    began = time.monotonic()
    assert failure(lambda: client(source, tmp_path, stopping).one("/x")).reason == "deadline"
    assert time.monotonic() - began < 2


# Rate limits


@pytest.mark.parametrize("status", [429, 403, 503])
def test_retry_after_is_waited_out(source: Source, tmp_path: Path, status: int) -> None:
    source.answers = [reply(status, {}, {"Retry-After": "1"}), reply(200, {"id": 1})]
    began = time.monotonic()
    assert client(source, tmp_path).one("/x") == {"id": 1}
    assert 0.9 < time.monotonic() - began < 3


def test_retry_after_may_be_a_date(source: Source, tmp_path: Path) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    source.answers = [reply(429, {}, {"Retry-After": date})]
    problem = failure(lambda: client(source, tmp_path).one("/x"))
    assert (problem.reason, len(source.seen)) == ("throttled", 1)


def test_retry_after_on_a_good_answer_slows_the_next_request(source: Source, tmp_path: Path) -> None:
    source.answers = [reply(200, {"id": 1}, {"Retry-After": "1"}), reply(200, {"id": 2})]
    asking = client(source, tmp_path)
    began = time.monotonic()
    assert asking.one("/x") == {"id": 1}
    assert time.monotonic() - began < 0.9
    assert asking.one("/x") == {"id": 2}
    assert time.monotonic() - began > 0.9


def test_a_reset_counts_when_nothing_is_left(source: Source, tmp_path: Path) -> None:
    later = str(int(time.time()) + 100)
    spent = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": later}
    source.answers = [reply(200, {"id": 1}, spent)]
    asking = client(source, tmp_path)
    assert asking.one("/x") == {"id": 1}
    problem = failure(lambda: asking.one("/x"))
    assert (problem.reason, "resets only in" in problem.detail) == ("throttled", True)


def test_buckets_are_apart(source: Source, tmp_path: Path) -> None:
    class Two(Dialect):
        def bucket(self, method: str, path: str) -> str:
            return path

    source.answers = [reply(200, {"id": 1}, {"Retry-After": "100"}), reply(200, {"id": 2})]
    asking = client(source, tmp_path, dialect=Two())
    asking.one("/search")
    assert asking.one("/core") == {"id": 2}
    assert failure(lambda: asking.one("/search")).reason == "throttled"


def test_a_limit_that_names_no_end_is_waited_for_a_few_times_and_a_403_alone_is_none(
    source: Source, tmp_path: Path
) -> None:
    source.answers = [reply(429, {"message": "slow down"})]
    problem = failure(lambda: client(source, tmp_path).one("/x"))
    assert (problem.reason, problem.status, len(source.seen)) == ("throttled", 429, 5)
    source.answers = [reply(403, {"message": "no"})]
    assert failure(lambda: client(source, tmp_path).one("/x")).reason == "denied"
    assert len(source.seen) == 6


def test_one_request_waits_no_longer_in_all_than_the_configuration_says(
    source: Source, tmp_path: Path
) -> None:
    source.answers = [reply(429, {}, {"Retry-After": "1"})]
    asking = client(source, tmp_path, config={"longest_wait_seconds": 1.5})
    assert failure(lambda: asking.one("/x")).reason == "throttled"
    assert len(source.seen) == 2


# Repetitions and credentials


def test_server_errors_and_cut_answers_are_repeated(source: Source, tmp_path: Path) -> None:
    source.answers = [reply(502, {}), CUT, reply(200, {"id": 1})]
    assert client(source, tmp_path, config={"retries": 2}).one("/x") == {"id": 1}
    source.answers = [reply(502, {"message": "bad gateway"})]
    problem = failure(lambda: client(source, tmp_path, config={"retries": 1}).one("/x"))
    assert (problem.reason, problem.detail) == ("unreachable", "HTTP 502: bad gateway")


def test_a_refused_token_is_renewed_once(source: Source, tmp_path: Path) -> None:
    issued = iter(["first", "second", "third"])
    auth = TokenAuth(lambda: IssuedToken(value=next(issued), seconds=3600))
    source.answers = [reply(401, {}), reply(200, {"id": 1}), reply(401, {"message": "no"})]
    asking = client(source, tmp_path, auth=auth)
    assert asking.one("/x") == {"id": 1}
    assert [headers["authorization"] for _, _, headers in source.seen] == ["Bearer first", "Bearer second"]
    assert failure(lambda: asking.one("/x")).status == 401
    assert len(source.seen) == 4


def test_a_token_of_the_configuration_is_not_asked_for_again(source: Source, tmp_path: Path) -> None:
    source.answers = [reply(401, {})]
    asking = client(source, tmp_path, auth=TokenAuth(lambda: IssuedToken(value="only")))
    assert failure(lambda: asking.one("/x")).reason == "denied"
    assert len(source.seen) == 1


def test_netrc_and_cookies_are_not_used(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    source.answers = [reply(200, {}, {"Set-Cookie": "session=1"}), reply(200, {})]
    asking = client(source, tmp_path)
    asking.one("/x")
    asking.one("/x")
    assert not any({"authorization", "cookie"} & set(headers) for _, _, headers in source.seen)


def test_a_proxy_of_the_environment_is_used_unless_the_host_is_exempt(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", source.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "exempt.invalid")
    source.answers = [reply(200, {"id": 1})]
    assert client(source, tmp_path, base="http://api.invalid/v1").one("/things") == {"id": 1}
    assert [headers["host"] for _, _, headers in source.seen] == ["api.invalid"]
    problem = failure(lambda: client(source, tmp_path, base="http://exempt.invalid/v1").one("/things"))
    assert problem.reason == "unreachable"
    assert len(source.seen) == 1


# Hosts


def test_no_redirect_to_another_host_is_followed(source: Source, tmp_path: Path) -> None:
    other = Source()
    other.answers = [reply(200, {})]
    source.answers = [reply(302, {}, {"Location": f"{other.url}/stolen"})]
    try:
        problem = failure(lambda: client(source, tmp_path).one("/x"))
        assert (problem.reason, "another host" in problem.detail) == ("malformed", True)
        assert other.seen == []
    finally:
        other.close()


def test_a_redirect_on_the_same_host_is_followed_but_not_out_of_the_base_path(
    source: Source, tmp_path: Path
) -> None:
    source.answers = [reply(301, {}, {"Location": "/api/renamed"}), reply(200, {"id": 1})]
    asking = client(source, tmp_path, base=f"{source.url}/api")
    assert asking.one("/old") == {"id": 1}
    assert [target for _, target, _ in source.seen] == ["/api/old", "/api/renamed"]
    source.answers = [reply(301, {}, {"Location": "/elsewhere"})]
    assert failure(lambda: asking.one("/old")).reason == "malformed"


def test_a_redirect_in_a_circle_ends(source: Source, tmp_path: Path) -> None:
    source.answers = [reply(301, {}, {"Location": "/x"})]
    assert failure(lambda: client(source, tmp_path).one("/x")).reason == "malformed"
    assert len(source.seen) == 4


@pytest.mark.parametrize("link", ["http://evil.example/x", "https://127.0.0.1/x", "http://u@127.0.0.1:1/x"])
def test_no_next_link_to_another_host_is_followed(source: Source, tmp_path: Path, link: str) -> None:
    source.answers = [page(1, Link=f'<{link}>; rel="next"')]
    asking = client(source, tmp_path)
    assert failure(lambda: ids(asking.items("/things", paginator=LinkHeader()))).reason == "malformed"
    assert len(source.seen) == 1


@pytest.mark.parametrize("path", ["/a/../b", "/a/%2e%2e/b", "/a b", "/a\nb", "http://evil.example/", "/x#y"])
def test_odd_paths_are_not_asked(source: Source, tmp_path: Path, path: str) -> None:
    assert failure(lambda: client(source, tmp_path).one(path)).reason == "malformed"
    assert source.seen == []


def test_only_named_posts_are_sent(source: Source, tmp_path: Path) -> None:
    source.answers = [reply(200, {"id": 1})]
    asking = client(source, tmp_path, posts=["/query"])
    assert asking.post("/query", {"q": 1}).body == {"id": 1}
    with pytest.raises(ValueError, match="read-only"):
        asking.post("/delete", {})
    assert [method for method, _, _ in source.seen] == ["POST"]


# Pages


def numbered(total: int, size: int) -> Callable[[str], list[dict[str, int]]]:
    def slice_of(target: str) -> list[dict[str, int]]:
        at = int(target.partition("at=")[2].partition("&")[0] or 0)
        return [{"id": number} for number in range(at, min(at + size, total))]

    return slice_of


def test_every_way_of_paging_reads_all(source: Source, tmp_path: Path) -> None:
    rows = numbered(25, 10)

    def following(target: str) -> int | None:
        shown = rows(target)
        return shown[-1]["id"] + 1 if shown and shown[-1]["id"] < 24 else None

    def by_link(target: str) -> Reply:
        after = following(target)
        link = {} if after is None else {"Link": f'<{source.url}/t?at={after}>; rel="next"'}
        return reply(200, rows(target), link)

    def by_odata(target: str) -> Reply:
        after = following(target)
        more = {} if after is None else {"@odata.nextLink": f"{source.url}/t?at={after}"}
        return reply(200, {"value": rows(target), "@odata.count": 25, **more})

    def by_token(target: str) -> Reply:
        after = following(target)
        return reply(200, {"items": rows(target), "metadata": {"continue": str(after or "")}})

    def by_header(target: str) -> Reply:
        after = following(target)
        return reply(200, {"value": rows(target)}, {} if after is None else {"X-Token": str(after)})

    def by_offset(target: str) -> Reply:
        return reply(200, rows(target))

    def by_number(target: str) -> Reply:
        number = int(target.partition("page=")[2].partition("&")[0])
        return reply(200, rows(f"at={(number - 1) * 10}"))

    def by_key(target: str) -> Reply:
        last = target.partition("after=")[2].partition("&")[0]
        return reply(200, rows(f"at={int(last) + 1 if last else 0}"))

    ways: list[tuple[Paginator, Callable[[str], Reply]]] = [
        (LinkHeader(), by_link),
        (NextLink(total="@odata.count"), by_odata),
        (TokenInBody(token="metadata/continue", parameter="at"), by_token),
        (TokenInHeader(at="value", header="X-Token", parameter="at"), by_header),
        (Offset(offset="at"), by_offset),
        (PageNumber(), by_number),
        (Keyset(parameter="after"), by_key),
    ]
    for paginator, answer in ways:
        source.answers = [answer]
        assert ids(client(source, tmp_path).items("/t", paginator=paginator)) == list(range(25)), paginator


def test_a_page_that_comes_twice_is_a_loop(source: Source, tmp_path: Path) -> None:
    source.answers = [page(1)]
    problem = failure(lambda: ids(client(source, tmp_path).items("/t", paginator=PageNumber())))
    assert (problem.reason, "twice" in problem.detail) == ("malformed", True)


def test_a_link_that_leads_back_is_a_loop(source: Source, tmp_path: Path) -> None:
    back = f'<{source.url}/t?per_page=100>; rel="next"'
    source.answers = [page(1, Link=back), page(2, Link=back)]
    problem = failure(lambda: ids(client(source, tmp_path).items("/t", paginator=LinkHeader())))
    assert (problem.reason, "already read" in problem.detail) == ("malformed", True)


def test_an_empty_page_may_have_a_next_one_but_not_for_ever(source: Source, tmp_path: Path) -> None:
    paginator = TokenInBody()
    source.answers = [reply(200, {"items": [], "nextPageToken": "a"}), reply(200, {"items": [{"id": 1}]})]
    assert ids(client(source, tmp_path).items("/t", paginator=paginator)) == [1]
    count = iter(range(1000))
    source.answers = [lambda _: reply(200, {"items": [], "nextPageToken": str(next(count))})]
    problem = failure(lambda: ids(client(source, tmp_path).items("/t", paginator=paginator)))
    assert (problem.reason, "empty pages" in problem.detail) == ("malformed", True)


def test_too_many_pages_are_truncated(source: Source, tmp_path: Path) -> None:
    count = iter(range(1000))
    source.answers = [lambda _: page(next(count))]
    asking = client(source, tmp_path, config={"max_pages": 3})
    assert failure(lambda: ids(asking.items("/t", paginator=PageNumber()))).reason == "truncated"
    assert len(source.seen) == 3


def test_fewer_than_the_total_is_truncated(source: Source, tmp_path: Path) -> None:
    source.answers = [page(1, 2, X_Total="3")]
    listed: list[int] = []

    def ask() -> None:
        listed.extend(ids(client(source, tmp_path).items("/t", paginator=LinkHeader(total="X-Total"))))

    problem = failure(ask)
    assert (problem.reason, "2 of 3" in problem.detail) == ("truncated", True)
    source.answers = [reply(200, {"things": [], "total_count": 17})]
    wrapped = LinkHeader(at="things", total="total_count")
    assert failure(lambda: ids(client(source, tmp_path).items("/t", paginator=wrapped))).reason == "truncated"


def test_a_missing_key_is_malformed(source: Source, tmp_path: Path) -> None:
    source.answers = [reply(200, {"values": []})]
    problem = failure(lambda: ids(client(source, tmp_path).items("/t", paginator=NextLink())))
    assert problem.reason == "malformed"


def test_behind_a_proxy_only_the_query_of_a_link_is_taken(source: Source, tmp_path: Path) -> None:
    inside = '<http://inside:8080/api/things?per_page=100&page=2>; rel="next"'
    source.answers = [page(1, Link=inside), page(2)]
    asking = client(source, tmp_path)
    assert ids(asking.items("/things", paginator=LinkHeader(query_only=True))) == [1, 2]
    assert source.seen[1][1] == "/things?page=2&per_page=100"
    source.answers = [page(1, Link=inside.replace("things", "secrets"))]
    problem = failure(lambda: ids(asking.items("/things", paginator=LinkHeader(query_only=True))))
    assert problem.reason == "malformed"


def test_no_more_is_asked_than_the_limit_needs(source: Source, tmp_path: Path) -> None:
    source.answers = [page(1, 2, 3, Link=f'<{source.url}/t?page=2>; rel="next"', X_Total="900")]
    paginator = LinkHeader(total="X-Total")
    assert ids(client(source, tmp_path).items("/t", paginator=paginator, limit=2)) == [1, 2]
    assert len(source.seen) == 1


# Memory


def test_an_unchanged_page_comes_from_the_memory_for_the_same_credential_only(
    source: Source, tmp_path: Path
) -> None:
    def account(item: dict[str, Any]) -> Iterator[Account]:
        number = str(item["id"])
        yield Account(
            id=f"x:{number}", provider="x", account_id="x:0", kind="thing", native_id=number, name=number
        )

    def answer(target: str) -> Reply:
        asked = source.seen[-1][2].get("if-none-match")
        second = "page=2" in target
        etag = '"two"' if second else '"one"'
        link = "" if second else f'<{source.url}/t?page=2&per_page=100>; rel="next"'
        if asked == etag:
            return Reply(status=304, body=b"", headers={"ETag": etag})
        return page(2 if second else 1, ETag=etag, **({"Link": link} if link else {}))

    source.answers = [answer]
    for token, statuses in (
        ("a" * 20, ["none"] * 2),
        ("a" * 20, ['"one"', '"two"']),
        ("b" * 20, ["none"] * 2),
    ):
        memory = Memory(tmp_path, "x", "t", as_of=NOW, version="1", fingerprint=FINGERPRINT)
        asking = client(source, tmp_path, auth=TokenAuth(partial(IssuedToken, value=token)), memory=memory)
        source.seen.clear()
        read = [record.id for record in asking.records("/t", account, paginator=LinkHeader())]
        assert read == ["x:1", "x:2"]
        assert [headers.get("if-none-match", "none") for _, _, headers in source.seen] == statuses
        memory.close()
        asking.close()


# TLS


@pytest.fixture(scope="module")
def authority() -> Iterator[CertificateAuthority]:
    with CertificateAuthority() as made:
        yield made


def test_a_certificate_is_trusted_by_the_configured_bundle_alone(
    authority: CertificateAuthority, source: Source, tmp_path: Path
) -> None:
    with LoopbackServer(lambda *_: reply(200, {"id": 1}), "tls", authority) as server:
        trusting = client(source, tmp_path, base=server.origin, config={"ca_bundle": authority.bundle})
        assert trusting.one("/x") == {"id": 1}
        problem = failure(lambda: client(source, tmp_path, base=server.origin).one("/x"))
        assert (problem.reason, "ca_bundle" in problem.detail) == ("unreachable", True)


def test_an_answer_that_drips_over_tls_ends_in_time_and_when_the_run_stops(
    authority: CertificateAuthority, source: Source, tmp_path: Path
) -> None:
    def drip(*_: object) -> Reply:
        parts = [part for _ in range(200) for part in (b" ", 0.1)]
        return Reply(status=200, body=b"", headers={}, stream=parts, length=200)

    with LoopbackServer(drip, "tls", authority) as server:
        bundle = {"ca_bundle": authority.bundle}
        began = time.monotonic()
        patient = client(source, tmp_path, base=server.origin, config={**bundle, "answer_seconds": 1})
        assert failure(lambda: patient.one("/x")).reason == "unreachable"
        stopping = threading.Event()
        threading.Timer(0.5, stopping.set).start()
        stopped = client(source, tmp_path, stopping, base=server.origin, config=bundle)
        assert failure(lambda: stopped.one("/x")).reason == "deadline"
        assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    "link",
    [
        '<{next}>; rel="next"',
        "<{next}>;rel=next",
        "<{next}>; rel='next'",
        '<{next}>; REL="Next"',
        '<{next}>; rel="last next"',
        '<{next}>; title="one, two; three"; rel="next"',
        '<{next}>; title="a \\"quoted\\" one, and <more>"; rel="next"',
        '<{next}>; rel="next"; title="the next, page"',
        '<{other}>; rel="prev", <{next}>; rel="next", <{other}>; rel="last"',
        '<{other}>; title="next"; rel="prev",<{next}>; rel="next"',
    ],
)
def test_a_next_link_is_found_in_every_form_that_the_standard_allows(link: str) -> None:
    # https://www.rfc-editor.org/rfc/rfc8288#section-3
    assert next_link(link.format(next="/t?page=2,3", other="/t?page=9")) == "/t?page=2,3"


@pytest.mark.parametrize(
    "link",
    [
        "",
        "nonsense",
        '<{other}>; rel="prev"',
        '<{other}>; title="rel=next"; rel="prev"',
        '<{other}>; rel="next-archive"',
        '<{other}>; rel="prev"; rel="next"',
        '<{other}>; title="unclosed; rel=next',
    ],
)
def test_no_other_link_is_taken_for_the_next_one(link: str) -> None:
    assert next_link(link.format(other="/t?page=9")) is None


def test_a_failed_redirect_says_what_is_wrong_with_it(source: Source, tmp_path: Path) -> None:
    asking = client(source, tmp_path, base=f"{source.url}/api")
    source.answers = [reply(303, {}, {"Location": "/elsewhere"})]
    assert "outside the configured path: /elsewhere" in failure(lambda: asking.one("/x")).detail
    source.answers = [reply(302, {}, {"Location": "/api/x"})]
    assert "redirected more than 3 times" in failure(lambda: asking.one("/x")).detail
