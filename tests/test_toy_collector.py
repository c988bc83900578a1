"""The toy collector against its sandbox: everything that can go wrong on the way is the kit's, and tested as such."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.kit.api import ApiCall, HttpSandbox
from sandbox.kit.http import HttpRequest, RefusedError, Reply, reply
from sandbox.kit.paging import link_header, numbered
from sandbox.kit.routes import RouteTable
from scanner.collect.collector import Run
from scanner.records import Coverage, Gap
from scanner.secrets.detectors import Fingerprint
from tests import toy_collector
from tests.kit_source import NOW

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.kit.authority import CertificateAuthority
    from scanner.records import Record

VARIANTS = ("usual",)
TEMPLATES = ("/registry", "/robots", "/robots/{robot}/keys")
ROUTES = RouteTable(("GET", template, template) for template in TEMPLATES)


class ToySandbox(HttpSandbox):
    provider = "toy"
    robots = 5

    def section(self) -> dict[str, Any]:
        return {"base_url": self.url, "token": "${env:TOY_TOKEN}", "retries": 0}

    def environment(self) -> dict[str, str]:
        return {"TOY_TOKEN": "toy-token-7f3a"}

    def show(self, night: int) -> None:
        self.robots = 4 + night

    def recognize(self, request: HttpRequest) -> ApiCall:
        template, values = ROUTES.find(request.method, request.path) or (request.path, {})
        name = f"{request.method} {template}"
        return ApiCall(request=request, name=name, template=template, path=request.path, values=values)

    def answer(self, call: ApiCall) -> Reply:
        if self.credential(call.request) != "Bearer toy-token-7f3a":
            raise RefusedError(401, "no token")
        if call.template == "/registry":
            return reply(200, {"name": "registry", "motto": "Small, and beautiful!"})
        rows: list[dict[str, Any]] = [
            {"id": n, "name": f"robot {n}", "note": "Rack 7, the cellar."} for n in range(self.robots)
        ]
        if robot := call.values.get("robot"):
            rows = [
                {"id": f"{robot}-{n}", "robot": robot, "made_at": "2026-01-02T03:04:05Z"} for n in range(3)
            ]
        page = numbered(rows, int(call.request.query.get("page", 1)), 2)
        following = {"next": {"page": str(page.end // 2 + 1)}} if page.more else {}
        link = link_header(call.path, call.request.query, following)
        return reply(200, page.rows, {"X-Total-Count": str(page.total), "Link": link})


def open_sandbox(
    size: str = "small", variant: str = "usual", *, authority: CertificateAuthority | None = None
) -> ToySandbox:
    return ToySandbox("toy", authority=authority)


def night(sandbox: ToySandbox, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    config = toy_collector.Config.model_validate(sandbox.section())
    run = Run(as_of=NOW, fingerprint=Fingerprint(b"k" * 32), cache=folder, stopping=threading.Event())
    return [
        row
        for target in toy_collector.targets(config, run)
        for row in toy_collector.collect(target, config, run)
    ]


def test_every_robot_and_key_is_listed_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ToySandbox("toy") as sandbox:
        rows = night(sandbox, tmp_path, monkeypatch)
    assert len({row.id for row in rows if row.id.startswith("toy:robot:")}) == 5
    assert len({row.id for row in rows if row.id.startswith("toy:key:")}) == 15
    assert [row.items for row in rows if isinstance(row, Coverage)] == [5, 3, 3, 3, 3, 3]


@pytest.mark.parametrize("trouble", [401, 403, 404, 500, "cut", "malformed", "foreign-next", "short"])
def test_what_fails_is_a_gap(trouble: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ToySandbox("toy") as sandbox:
        sandbox.fail("/robots", trouble)
        gaps = [row for row in night(sandbox, tmp_path, monkeypatch) if isinstance(row, Gap)]
    assert {(row.table, row.call) for row in gaps} == {
        ("identities", "GET /robots"),
        ("credentials", "GET /robots"),
    }
    assert "bug" not in {row.reason for row in gaps}
