"""Owners that say nothing are none, and hide no tag that says something."""

from __future__ import annotations

import pytest

from scanner.stated import first_stated, stated


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\u00a0",
        "\u200b",
        "\ufeff \u200b",
        "TBD",
        "tbd.",
        "n/a",
        "N/A ",
        "-",
        "--",
        "none",
        "None",
        "unknown",
        "<unknown>",
    ],
)
def test_what_says_nothing_is_none(text: str) -> None:
    assert stated(text) is None
    assert first_stated({"Owner": text, "team": "payments"}, ["owner", "team"]) == ("payments", "team")


@pytest.mark.parametrize(
    "text", ["payments", "Nona", "team-none", "unknown-pleasures@example.com", "n-a-team"]
)
def test_what_names_somebody_stays(text: str) -> None:
    assert stated(f" {text}\u200b ") == text
