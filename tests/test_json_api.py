"""The sandbox that is defined by its answers: every way of paging, other headers, refusals and permissions."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from sandbox.kit.canaries import CanaryPlanter
from sandbox.kit.contract import ContractCase, standard_collector_tests
from sandbox.kit.json_api import JsonApi
from sandbox.kit.provider import environment
from scanner.collect.auth import IssuedToken, TokenAuth
from scanner.collect.collector import Run
from scanner.collect.failures import SourceError
from scanner.collect.http_config import HttpConfig
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
from scanner.collect.rest import RestClient
from scanner.secrets.detectors import Fingerprint
from tests import toy_collector
from tests.kit_source import NOW
from tests.test_toy_collector import REGISTRY

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.kit.json_api import JsonApiSandbox

ROWS = [{"id": number} for number in range(1, 6)]
WAYS = [
    LinkHeader(total="X-Total-Count"),
    LinkHeader(at="things", total="total"),
    NextLink(total="@odata.count"),
    TokenInBody(at="data", token="page/next", parameter="cursor", total="page/total"),
    TokenInHeader(header="x-ms-continuationtoken", parameter="continuationToken", at="value"),
    PageNumber(total="X-Total"),
    PageNumber(start=0, at="rows"),
    Offset(at="Resources", total="totalResults", offset="startIndex", start=1),
    Keyset(),
    Paginator(at="value", page_count="count"),
]


def reader(api: JsonApi, sandbox: JsonApiSandbox, tmp_path: Path) -> RestClient:
    run = Run(as_of=NOW, fingerprint=Fingerprint(b"k" * 32), cache=tmp_path, stopping=threading.Event())
    auth = TokenAuth(lambda: IssuedToken(value=sandbox.token), header=api.header, prefix=api.prefix)
    return RestClient(sandbox.url, HttpConfig(retries=0), run, auth=auth, paginator=api.pages)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{type(way).__name__}-{way.at}")
def test_a_list_is_cut_in_the_way_of_the_paginator(way: Paginator, tmp_path: Path) -> None:
    api = JsonApi("toy", {"/things": ROWS}, pages=way)
    with api.open_sandbox() as sandbox:
        assert list(reader(api, sandbox, tmp_path).items("/things")) == ROWS
        requests = len(sandbox.log)
    assert requests == 1 if type(way) is Paginator else requests >= 3


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{type(way).__name__}-{way.at}")
@pytest.mark.parametrize("fault", ["looping-next", "foreign-next"])
def test_a_next_page_that_is_wrong_is_noticed_where_there_can_be_one(
    way: Paginator, fault: str, tmp_path: Path
) -> None:
    api = JsonApi("toy", {"/things": ROWS}, pages=way)
    with api.open_sandbox() as sandbox:
        sandbox.fail("/things", fault)
        if fault in sandbox.unfit:
            return
        with pytest.raises(SourceError) as caught:
            list(reader(api, sandbox, tmp_path).items("/things"))
    assert caught.value.reason == "malformed"


def test_the_token_is_read_from_the_named_header_and_a_status_refuses(tmp_path: Path) -> None:
    api = JsonApi("toy", {"/a": [{"id": 1}], "/b": 403}, header="X-Api-Key", prefix="")
    with api.open_sandbox() as sandbox:
        asking = reader(api, sandbox, tmp_path)
        assert list(asking.items("/a")) == [{"id": 1}]
        with pytest.raises(SourceError, match="403"):
            list(asking.items("/b"))
        assert sandbox.log[0].headers["x-api-key"] == sandbox.token


def test_a_permission_that_is_taken_away_refuses_its_paths_until_it_is_restored(tmp_path: Path) -> None:
    api = JsonApi("toy", {"/a": [{"id": 1}], "/b": [{"id": 2}]}, permissions={"read-a": ["/a"]})
    with api.open_sandbox() as sandbox:
        asking = reader(api, sandbox, tmp_path)
        assert sandbox.permissions() == ("read-a",)
        sandbox.revoke("read-a")
        with pytest.raises(SourceError, match="the token lacks read-a"):
            list(asking.items("/a"))
        assert list(asking.items("/b")) == [{"id": 2}]
        sandbox.restore()
        assert list(asking.items("/a")) == [{"id": 1}]


# What the contract tests must not overlook


def test_a_collector_that_reads_nothing_fails_its_contract() -> None:
    sends_another_header = JsonApi("toy", REGISTRY.answers, header="X-Api-Key", prefix="")
    tests = standard_collector_tests(toy_collector, sends_another_header)()
    case = ContractCase(toy_collector, sends_another_header, "usual")
    try:
        with environment(case.trial.sandbox.environment()), pytest.raises(AssertionError, match="no listing"):
            tests.test_a_night_without_faults_is_sound(case)
    finally:
        case.close()


def test_a_time_is_hidden_although_another_ends_with_the_same_seconds() -> None:
    planter = CanaryPlanter()
    planter.outgoing("GET /keys", "[].made_at", "2026-01-02T03:04:05Z")
    planter.outgoing("GET /keys", "[].seen_at", "2026-02-03T03:04:05Z")
    planter.outgoing("GET /keys", "[].url", "https://toy.example/keys/spare-key-1")
    shown = '{"created_at": "2026-01-02T03:04:05Z", "name": "spare-key-1"}'
    assert planter.hidden(shown, formed=True) == {("GET /keys", "[].seen_at")}
