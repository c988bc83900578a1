"""Masks secrets in records, once, where records are written: to a snapshot and to a collector's cache.

Anybody who can name a job, a branch or a tag can put a password there, and a collector copies names. So no collector
has to think of it. A mask holds a keyed fingerprint of what it hides: ids that held a secret stay unique, the same
every night, and equal to what refers to them.
"""

from __future__ import annotations

import re
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from scanner.records import Test
from scanner.secrets.configured import cores
from scanner.secrets.detectors import TOKENS
from scanner.secrets.names import NAMING_PARTS
from scanner.secrets.redact import fingerprint_label, hidden_in, hidden_under, mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from scanner.secrets.configured import Label
    from scanner.secrets.detectors import Fingerprint

S = TypeVar("S", bound=msgspec.Struct)

_MANY = 400
"""From so many texts on, they are sifted first: to prepare the sieve takes milliseconds."""
_STANDING_BEFORE = (
    r"PRIVATE KEY|%[0-9A-Fa-f]{2}|://[^\s/@]*:[^\s/@]+@|[A-Za-z0-9/+]{40}"
    r"|(?i:(?:bearer|basic|token|negotiate|apikey)[ :=]+[A-Za-z0-9+/._~=-]{16})"
    rf"""|{NAMING_PARTS}[A-Za-z0-9_.]{{0,30}}[\\"'\s]*(?:=|:[\s"'\\])|-[\w-]*{NAMING_PARTS}[\w-]*\s"""
)
"""What `scanner.secrets.redact` goes by, besides the formats of tokens."""


def masked(records: Sequence[S], fingerprint: Fingerprint) -> list[S]:
    """Return records with every secret in their texts masked, in keys and nested values as well.

    Records without a secret are returned as they are. What stands under the name of a secret, in tags and in the tests
    of trusts, is masked as well.
    """
    texts: set[str] = set()
    for record in records:
        texts.update(_texts(record))
    changed = {text: hidden for text in _suspects(list(texts)) if (hidden := mask(text, fingerprint)) != text}
    hide = partial(_looked_up, changed)
    label = fingerprint_label(fingerprint)
    return [_rewritten(record, hide, label) if _needs(record, changed) else record for record in records]


def _looked_up(changed: dict[str, str], text: str) -> str:
    return changed.get(text, text)


def _needs(record: msgspec.Struct, changed: dict[str, str]) -> bool:
    """Return whether a record may change: it holds a text that does, or values under names of their own."""
    return any(value.__class__ in _NESTED and value for value in msgspec.structs.astuple(record)) or (
        bool(changed) and any(text in changed for text in _texts(record))
    )


_NESTED = frozenset((dict, list))


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a record, keys included."""
    match value:
        case str():
            yield value
        case msgspec.Struct():
            for field in msgspec.structs.astuple(value):
                if field.__class__ is str:
                    yield field
                elif field.__class__ not in _WITHOUT_TEXT:
                    yield from _texts(field)
        case dict():
            for key, item in value.items():
                yield from _texts(key)
                yield from _texts(item)
        case list() | tuple():
            for item in value:
                yield from _texts(item)
        case _:
            return


_WITHOUT_TEXT = frozenset((type(None), bool, int, float))


def _rewritten(value: Any, hide: Callable[[str], str], label: Label) -> Any:
    match value:
        case Test():
            found = hidden_under(value.claim, value.values, hide, label)
            return msgspec.structs.replace(value, claim=hide(value.claim), values=found)
        case msgspec.Struct():
            old = {name: getattr(value, name) for name in value.__struct_fields__}
            new = {name: _rewritten(field, hide, label) for name, field in old.items()}
            return value if new == old else msgspec.structs.replace(value, **new)
        case list() if value and isinstance(value[0], str):
            return hidden_in(value, hide, label)
        case list():
            return [_rewritten(item, hide, label) for item in value]
        case _:
            return hidden_in(value, hide, label)


def _suspects(texts: list[str]) -> list[str]:
    """Return the texts that may hold a secret; all of them where there are few."""
    if len(texts) < _MANY:
        return texts
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        column = pa.array(texts, pa.string())
    except UnicodeEncodeError:  # surrogates, which the names of files may hold
        return texts
    pattern = "|".join([_sieve(), *(re.escape(core) for core in cores())])
    return list(column.filter(pc.match_substring_regex(column, pattern)).to_pylist())


@cache
def _sieve() -> str:
    """Return one pattern for RE2 that finds whatever `mask` finds, and more: no text is looked around or counted far."""
    tokens = "|".join(f"(?:{_loosened(pattern.pattern)})" for _, pattern in TOKENS)
    return f"{tokens}|{_STANDING_BEFORE}"


def _loosened(pattern: str) -> str:
    pattern = re.sub(r"\(\?<?[!=](?:[^()\\\[]|\\.|\[[^\]]*\])*\)", "", pattern)
    pattern = re.sub(r"\(\?P<\w+>", "(?:", pattern)
    return re.sub(
        r"\{(\d+)(?:,\d*)?\}", lambda found: "{3,}" if int(found[1]) > 3 else found.group(), pattern
    )
