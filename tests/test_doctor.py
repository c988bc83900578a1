"""`doctor` says what a run could not read tonight, and keeps nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.test_run import Box

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_each_target_is_tried_and_nothing_is_kept(box: Box) -> None:
    box.configure(names=["a", "b"], denied="a")
    code, out, err = box.run("doctor")
    assert code == 4, err
    lines = out.splitlines()
    assert lines[0].startswith("DARK  made-up a: ")
    assert "denied: " in lines[1]
    assert any(line.startswith("ok    made-up b: ") for line in lines)
    assert lines[-1] == "1 complete, 0 in part, 1 dark; nothing was kept"
    assert not box.state.exists()


def test_the_same_as_json(box: Box) -> None:
    box.configure(names=["a", "b"], denied="a")
    code, out, err = box.run("doctor", "--format", "json")
    assert code == 4, err
    states = {
        one["target"]: (one["state"], [call["reason"] for call in one["refused"]]) for one in json.loads(out)
    }
    assert states == {"a": ("dark", ["denied"]), "b": ("complete", [])}


def test_all_is_well(box: Box) -> None:
    box.configure(names=["a"])
    code, out, err = box.run("doctor")
    assert (code, out.splitlines()[-1]) == (0, "1 complete, 0 in part, 0 dark; nothing was kept"), err


def test_when_nothing_can_be_read_it_says_why(box: Box) -> None:
    box.configure(names=["a"], denied="a")
    code, _, err = box.run("doctor")
    assert code == 2
    assert "nothing could be read" in err


def test_what_cannot_work_is_said_before_anything_is_asked(box: Box) -> None:
    document = {"collectors": {"github": {"organizations": ["acme"], "token": "${env:SURELY_NOT_SET}"}}}
    (box.folder / "config.yaml").write_text(json.dumps(document))
    code, _, err = box.run("doctor")
    assert code == 2
    assert "${env:SURELY_NOT_SET} is not set or empty" in err
