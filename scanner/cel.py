"""Evaluates expressions of the Common Expression Language (CEL) in three values, with common-expression-language.

https://github.com/google/cel-spec. Functions of one service (``matchTag``, ``hasOnly``) are not known here: what uses them
is true, false or unknown, as the rest of the expression decides.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 4096
"""Characters: the limit of Google Cloud for a condition."""


def holds(expression: str, variables: Mapping[str, Any]) -> bool | None:
    """Return whether an expression is true; None if that cannot be known.

    A variable or field that is missing in ``variables`` is unknown, not false. None as well if the library is missing, if
    the expression is too long or no CEL, and if its value is not true or false.
    """
    program = _compiled(expression)
    if program is None:
        return None
    import cel

    context = cel.Context(variables=dict(variables))
    context.add_function("extract", extract)
    try:
        value = program.execute(context)
    except (KeyError, ValueError, TypeError, RuntimeError, OverflowError):
        return None
    return value if isinstance(value, bool) else None


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> Any:
    if len(expression) > LONGEST:
        return None
    try:
        import cel
    except ImportError:
        return None
    try:
        return cel.compile(expression)
    except (ValueError, RuntimeError):
        return None


def extract(text: str, template: str) -> str:
    """Return the part of a text that stands for the braces of a template: ``"a/b".extract("a/{x}")`` is ``b``.

    Empty if the template does not occur. https://docs.cloud.google.com/iam/docs/conditions-attribute-reference#extract
    """
    match = re.fullmatch(r"([^{}]*)\{[^{}]*\}([^{}]*)", template)
    if match is None:
        return ""
    before, after = match.groups()
    start = text.find(before)
    if start < 0:
        return ""
    start += len(before)
    end = text.find(after, start) if after else len(text)
    return text[start:end] if end >= 0 else ""
