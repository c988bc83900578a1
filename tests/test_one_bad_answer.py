"""One bad answer costs one thing: whatever a source says, the run ends with gaps or a refusal, never with a traceback."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.estate import FIRST_NIGHT
from sandbox.github import open_sandbox
from sandbox.kit.http import Reply, reply
from sandbox.kit.provider import environment
from sandbox.kit.server import LoopbackServer
from scanner.collect.run import NothingCollectedError, collect_snapshot
from scanner.command.progress import LogProgress
from scanner.config_file import load
from scanner.ledger import Ledger
from scanner.parquet import read_table
from scanner.records import Gap

if TYPE_CHECKING:
    from pathlib import Path


def gaps(state: Path, collectors: dict[str, Any]) -> list[Gap]:
    """Collect a night and return its gaps. Raises `NothingCollectedError` if no target could be listed."""
    config = state / "config.yaml"
    config.write_text(json.dumps({"state": str(state), "collectors": collectors}), encoding="utf-8")
    manifest = collect_snapshot(
        load(config).settings,
        ledger=Ledger(state),
        digest="",
        as_of=FIRST_NIGHT,
        stopping=threading.Event(),
        progress=LogProgress(),
    )
    folder = state / "snapshots" / manifest.run_id
    return [
        row for file in manifest.files if file.table == "gaps" for row in read_table(folder / file.path, Gap)
    ]


@pytest.mark.parametrize(
    "answer",
    [
        reply(403, {"message": "no"}),
        Reply(status=301, body=b"", headers={"Location": "http://127.0.0.1:1/"}),
        Reply(status=200, body=b"", headers={}),
        reply(200, None),
        Reply(status=200, body=b"[" * 200_000 + b"]" * 200_000, headers={}),
        Reply(status=200, body=b"<GetCallerIdentityResponse></GetCallerIdentityResponse>", headers={}),
        Reply(status=200, body=b'{"Account": "\\ud800"}', headers={}),
    ],
    ids=["403 with JSON", "301", "empty", "null", "200,000 deep", "without its fields", "lone surrogate"],
)
def test_aws_cannot_be_signed_in_to(tmp_path: Path, answer: Reply) -> None:
    def say(*_: object) -> Reply:
        return Reply(status=answer.status, body=answer.body, headers=dict(answer.headers))

    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    with LoopbackServer(say, "aws") as server, environment(keys):
        section = {"endpoint_url": server.origin, "home_region": "eu-west-1", "max_attempts": 1}
        with pytest.raises(NothingCollectedError, match="cannot sign in to AWS"):
            gaps(tmp_path, {"aws": section})
    assert not list(tmp_path.glob("snapshots/*/manifest.json"))


@pytest.mark.parametrize("fault", [301, 403, "null", "deep", "surrogate", "empty-body"])
def test_installations_that_cannot_be_listed_refuse_a_run_of_nothing_else(tmp_path: Path, fault: Any) -> None:
    with open_sandbox("small", "app") as sandbox, environment(sandbox.environment()):
        sandbox.fail("GET /app/installations", fault)
        with pytest.raises(
            NothingCollectedError, match=r"github lanternpay: (denied|malformed): "
        ) as refused:
            gaps(tmp_path, {"github": {**sandbox.section(), "retries": 0}})
    assert "bug" not in str(refused.value)
    assert not list(tmp_path.glob("snapshots/*/manifest.json"))


def test_a_file_whose_name_is_no_text_is_one_gap(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / ".github/workflows").mkdir(parents=True)
    text = "on: push\njobs: {a: {runs-on: x, steps: [{run: echo}]}}\n"
    (checkout / ".github/workflows/good.yml").write_text(text, encoding="utf-8")
    bad = bytes(checkout / ".github/workflows") + b"/\xff.yml"
    with open(bad, "w", encoding="utf-8") as file:  # noqa: PTH123  a path of bytes
        file.write(text)
    found = gaps(tmp_path, {"definitions": {"paths": [str(checkout)]}})
    assert "bug" not in {gap.reason for gap in found}
    assert list(tmp_path.glob("snapshots/*/manifest.json"))
