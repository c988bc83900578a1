"""One list of each of many resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from scanner.collect.failures import Classify, classify_error
from scanner.collect.listings import ListingRequest, with_coverage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from collectors.azure.scope import AzureScope
    from scanner.records import Record

T = TypeVar("T")


def each(
    scope: AzureScope,
    asked: Mapping[str, T],
    request: Callable[[T], ListingRequest],
    convert: Callable[[T, dict[str, Any]], Iterable[Record]],
    *,
    fills: Sequence[str] = (),
    loses: Sequence[str] = (),
    classify: Classify = classify_error,
) -> Iterator[Record]:
    """Yield the records of several lists, each with its own Coverage or Gap. ``asked`` says for each path of what it tells."""
    for path, answer in scope.client.lists(asked):
        of = asked[path]

        def read(answer: list[dict[str, Any]] | Exception = answer, of: T = of) -> Iterator[Record]:
            if isinstance(answer, Exception):
                raise answer
            for item in answer:
                yield from convert(of, item)

        yield from with_coverage(read(), request(of), classify, fills=fills, loses=loses)
