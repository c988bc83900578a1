"""The generators of the reference and of the example configuration."""

from __future__ import annotations

from typing import Any

import pytest

from docs import is_list
from scanner.config import Section


class Listener(Section):
    """A section whose name contains the word list."""


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (list[Listener], True),
        (list[str] | None, True),
        (Listener | None, False),
        (dict[str, list[str]], False),
    ],
)
def test_an_option_is_a_list_by_its_type_and_not_by_its_name(annotation: Any, expected: bool) -> None:
    assert is_list(annotation) is expected
