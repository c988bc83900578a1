"""One list of each of many resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from scanner.collect.failures import Classify, SourceError, classify_error
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
    older: Callable[[str], str] | None = None,
) -> Iterator[Record]:
    """Yield the records of several lists, each with its own Coverage or Gap. ``asked`` says for each path of what it tells.

    ``older`` returns the path by an API version that is served where the first is refused with 400.
    """
    for path, first in scope.client.lists(asked):
        of, answer = asked[path], first
        if older is not None and isinstance(first, SourceError) and first.status == 400:
            ((_, answer),) = scope.client.lists([older(path)])

        def read(answer: list[dict[str, Any]] | Exception = answer, of: T = of) -> Iterator[Record]:
            if isinstance(answer, Exception):
                raise answer
            for item in answer:
                yield from convert(of, item)

        yield from with_coverage(read(), request(of), classify, fills=fills, loses=loses)
