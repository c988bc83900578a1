"""GraphQL client: queries only, with handling of errors in 200 responses and of partial responses.

`GraphqlClient` sends one query, over a `scanner.collect.rest.RestClient` that names its URL among its ``posts``.
`PartsQuery` reads the same data of many objects if it is unknown what the server supports: other editions or versions
lack a field, and a large organization's objects may be too many for one query. It learns which parts to leave out,
which to query separately, and how many objects to query at a time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from scanner.collect.answers import checked
from scanner.collect.failures import SourceError
from scanner.collect.paging import EMPTY_PAGES, place_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from scanner.collect.rest import RestClient
    from scanner.records import Reason

_WRITES = re.compile(r"\b(?:mutation|subscription)\b")
_STRINGS = re.compile(r'"""(?:[^"\\]|\\"|\\|"(?!""))*+(?:""")?|"(?:[^"\\\n]|\\.)*"|#[^\n]*')
_LACKS = re.compile(
    r"doesn't exist|doesn't accept|Cannot query field|Unknown (?:argument|type|field)|isn't a defined|"
    r"has an invalid value|No such type|can't be spread|must have selections|Selections can't be made"
)
_TOO_COMPLEX = re.compile(
    r"exceeds max (?:complexity|depth)|query too large|exceeds? the maximum (?:node )?limit", re.IGNORECASE
)
_TOO_SLOW = re.compile(
    r"\btimeout\b|timed out|resource limits? .*exceeded|something went wrong", re.IGNORECASE
)
_REFUSED = re.compile(
    r"permission|forbidden|not (?:authorized|accessible)|could not resolve to|does not exist", re.IGNORECASE
)
_REFUSALS = {"FORBIDDEN", "NOT_FOUND", "INSUFFICIENT_SCOPES", "UNAUTHORIZED", "UNAUTHENTICATED"}
_QUOTED = re.compile(r"['\"`](\w+)['\"`]")


class GraphqlError(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of ``errors``. https://spec.graphql.org/October2021/#sec-Errors"""

    message: str
    type: str
    """The server's error type (``FORBIDDEN``), from ``type`` or ``extensions.code``; can be empty."""
    path: list[str | int]
    field: str
    """The field that the server lacks, if named."""

    @property
    def lacks(self) -> bool:
        """Whether the server lacks a requested field, argument or type."""
        return bool(_LACKS.search(self.message)) or self.type.lower().startswith("undefined")

    @property
    def too_complex(self) -> bool:
        """Whether the query exceeds the server's complexity limit."""
        return self.type == "MAX_NODE_LIMIT_EXCEEDED" or bool(_TOO_COMPLEX.search(self.message))

    @property
    def too_slow(self) -> bool:
        """Whether the server gave up, so that a query for fewer objects may succeed."""
        return self.type == "RESOURCE_LIMITS_EXCEEDED" or bool(_TOO_SLOW.search(self.message))


class QueryError(SourceError):
    """A query returned errors and no usable data."""

    def __init__(self, errors: Sequence[GraphqlError]) -> None:
        self.errors = list(errors)
        self.lacks = any(error.lacks for error in errors)
        self.too_complex = any(error.too_complex for error in errors)
        self.too_slow = any(error.too_slow for error in errors)
        words = "; ".join(_words(error) for error in errors[:3])
        super().__init__(self._reason(), f"GraphQL: {words or 'no data'}"[:500])

    def _reason(self) -> Reason:
        if self.lacks or self.too_complex:
            return "unsupported"
        refused = any(error.type in _REFUSALS or _REFUSED.search(error.message) for error in self.errors)
        return "denied" if refused and not self.too_slow else "unreachable"


class QueryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The response to a query. Errors next to the data say which parts are missing."""

    data: dict[str, Any]
    errors: list[GraphqlError] = []
    size: int = 0
    """How many objects a `PartsQuery` requested."""


class GraphqlClient:
    """Sends queries to one URL of a source."""

    def __init__(self, client: RestClient, url: str) -> None:
        """``url`` must be in the client's ``posts`` and at one of its origins."""
        self._client = client
        self._url = url

    def query(
        self, document: str, variables: Mapping[str, Any], *, retries: int | None = None
    ) -> QueryAnswer:
        """Send one query. Raises ValueError for anything but a query, `QueryError` if no data was returned.

        ``retries`` replaces the configured number of retries after a server error: 0 if the caller then requests less.
        """
        if _WRITES.search(_STRINGS.sub("", document)):
            raise ValueError("only queries are sent")
        body = self._client.post(
            self._url, {"query": document, "variables": dict(variables)}, retries=retries
        ).body
        errors = _errors(body)
        data = body.get("data") if isinstance(body, dict) else None
        if not isinstance(data, dict):
            if not errors:
                raise SourceError("malformed", "GraphQL: the response has neither data nor errors")
            raise QueryError(errors)
        return QueryAnswer(data=data, errors=errors)

    def connection(
        self, document: str, variables: Mapping[str, Any], *, at: str, cursor: str = "cursor"
    ) -> Iterator[dict[str, Any]]:
        """Yield the nodes of a connection page by page. ``at`` is its place in the data, ``cursor`` the variable.

        The document must request ``nodes`` and ``pageInfo { hasNextPage endCursor }``. Raises `SourceError`: denied if
        the connection is not visible, truncated if it has fewer nodes than its ``totalCount`` or more than ``max_pages``
        pages, malformed if a page does not say whether another follows, or follows itself. Errors next to the nodes of a
        page are raised after them.
        """
        after: str | None = None
        seen: set[str | None] = set()
        count = empty = 0
        while after not in seen:
            if len(seen) >= self._client.config.max_pages:
                raise SourceError("truncated", f"{at}: more than {len(seen)} pages")
            seen.add(after)
            answer = self.query(document, {**variables, cursor: after})
            shown = place_in(answer.data, at)
            if not isinstance(shown, dict):
                raise (
                    QueryError(answer.errors)
                    if answer.errors
                    else SourceError("denied", f"{at} is not visible")
                )
            nodes = shown.get("nodes")
            if not isinstance(nodes, list):
                raise (
                    QueryError(answer.errors)
                    if answer.errors
                    else SourceError("malformed", f"{at}: no nodes")
                )
            found = [node for node in nodes if isinstance(node, dict)]
            count += len(nodes)
            yield from found
            if answer.errors:
                raise QueryError(answer.errors)
            if len(found) < len(nodes):
                raise SourceError("malformed", f"{at}: {len(nodes) - len(found)} of the nodes are null")
            more = place_in(shown, "pageInfo/hasNextPage")
            if not isinstance(more, bool):
                raise SourceError("malformed", f"{at}: the response does not say whether a page follows")
            if not more:
                total = shown.get("totalCount")
                if isinstance(total, int) and count < total:
                    raise SourceError("truncated", f"{at}: {count} of {total} items were returned")
                return
            after = place_in(shown, "pageInfo/endCursor")
            if not isinstance(after, str):
                raise SourceError("malformed", f"{at}: a page follows, but its cursor is missing")
            empty = 0 if nodes else empty + 1
            if empty > EMPTY_PAGES:
                raise SourceError("malformed", f"{at}: {empty} empty pages in a row, each with a next page")
        raise SourceError("malformed", f"{at}: the cursor points to a page already read")


class PartsQuery:
    """One query about many objects, made of parts. Learns what the server supports. Not thread-safe."""

    def __init__(
        self,
        client: GraphqlClient,
        document: Callable[[str], str],
        parts: Mapping[str, Sequence[str]],
        *,
        largest: int,
        smallest: int = 1,
        bare: bool = True,
    ) -> None:
        """``document`` builds the query from the joined selections. ``parts`` has one or more selections for each name,
        the richest first: if the server lacks a field of one, the next is used.

        ``largest`` and ``smallest`` limit how many objects a query requests. If not ``bare``, the document is not sent
        without any part.
        """
        self._client = client
        self._document = document
        self._parts = {name: list(choices) for name, choices in parts.items()}
        self._groups: list[list[str]] = [list(parts)]
        self._largest = largest
        self._smallest = smallest
        self._bare = bare
        self.size = largest
        """How many objects the next query requests."""
        self.left_out: dict[str, str] = {}
        """Parts that are no longer requested, with the server's error message."""

    @property
    def parts(self) -> list[str]:
        """The parts that are still requested."""
        return list(self._parts)

    def leave_out(self, name: str, words: str) -> None:
        """Stop requesting a part."""
        if self._parts.pop(name, None) is not None:
            self.left_out[name] = words
            self._groups = [group for group in ([n for n in g if n != name] for g in self._groups) if group]
            self._groups = self._groups or [[]]

    def ask(
        self,
        variables: Callable[[int], Mapping[str, Any]],
        *,
        without: Collection[str] = (),
        available: int | None = None,
    ) -> QueryAnswer:
        """Query some objects, reducing the query as long as the server cannot answer it.

        ``variables`` builds the query's variables for the given objects. ``without`` are parts to skip this time;
        ``available`` is how many objects there are, so that a failed query is not repeated with another number of the same
        objects. Raises `SourceError` if the server cannot answer even for ``smallest`` objects; ``size`` is then the last number
        requested.
        """
        answered: dict[tuple[str, ...], QueryAnswer] = {}
        if available is not None:
            self.size = min(self.size, max(available, self._smallest))
        while True:
            size = self.size
            try:
                for group in list(self._groups):
                    names = tuple(name for name in group if name not in without)
                    if names not in answered and (names or (self._bare and len(self._groups) == 1)):
                        answered[names] = self._part(names, variables(size), last=size <= self._smallest)
            except SourceError as exc:
                if not self._learn(exc, list(names), size):
                    raise
                if self.size != size:
                    answered.clear()
                continue
            self.size = min(self._largest, size * 2)
            return msgspec.structs.replace(_joined(list(answered.values())), size=size)

    def _part(self, names: Sequence[str], variables: Mapping[str, Any], *, last: bool) -> QueryAnswer:
        selection = " ".join(self._parts[name][0] for name in names)
        answer = self._client.query(self._document(selection), variables, retries=0)
        if any(error.too_slow for error in answer.errors) and not last:
            raise QueryError(answer.errors)
        if answer.errors and not any(value is not None for value in answer.data.values()):
            raise QueryError(answer.errors)
        return answer

    def _learn(self, exc: SourceError, names: list[str], size: int) -> bool:
        """Reduce the query. Return False if it cannot be reduced further."""
        if isinstance(exc, QueryError) and exc.lacks:
            if not names:
                return False
            found = self._named(exc, names)
            if found or len(names) == 1:
                for name in found or names:
                    self._poorer(name, str(exc))
            else:
                self._split(names)
            return True
        if isinstance(exc, QueryError) and exc.too_complex:
            if len(names) > 1:
                self._split(names)
                return True
            if size > 1:
                self._largest = self.size = size // 2
                return True
            for name in names:
                self.leave_out(name, str(exc))
            return bool(names)
        if exc.reason not in {"unreachable", "malformed"} or size <= self._smallest:
            return False
        self.size = max(self._smallest, size // 2)
        return True

    def _named(self, exc: QueryError, names: Sequence[str]) -> list[str]:
        """Return the parts named by the errors, one for each; none if an error does not name exactly one."""
        found: list[str] = []
        for error in exc.errors:
            word = error.field or next(iter(_QUOTED.findall(error.message)), "")
            holding = [
                name for name in names if word and re.search(rf"\b{re.escape(word)}\b", self._parts[name][0])
            ]
            if len(holding) != 1:
                return []
            found += [name for name in holding if name not in found]
        return found

    def _poorer(self, name: str, words: str) -> None:
        choices = self._parts[name]
        if len(choices) > 1:
            choices.pop(0)
        else:
            self.leave_out(name, words)

    def _split(self, names: list[str]) -> None:
        half = len(names) // 2
        for group in self._groups:
            if set(names) <= set(group):
                left = [name for name in group if name not in names]
                parts = (names[:half], names[half:], left)
                at = self._groups.index(group)
                self._groups[at : at + 1] = [part for part in parts if part]
                return


def nodes_of(connection: Any, *, whole: bool = True) -> list[dict[str, Any]] | None:
    """Return the nodes of a connection, or None if it is not visible.

    With ``whole``, also None if it is incomplete: a next page, a larger ``totalCount``, or a null node (withheld, or lost
    to an error).
    """
    nodes = connection.get("nodes") if isinstance(connection, dict) else None
    if not isinstance(nodes, list):
        return None
    shown: list[dict[str, Any]] = [node for node in nodes if isinstance(node, dict)]
    total = connection.get("totalCount")
    more = place_in(connection, "pageInfo/hasNextPage") or (isinstance(total, int) and total > len(shown))
    return None if whole and (more or len(shown) < len(nodes)) else shown


def _errors(body: Any) -> list[GraphqlError]:
    errors = body.get("errors") if isinstance(body, dict) else None
    return [_error(error) for error in errors] if isinstance(errors, list) else []


def _error(error: Any) -> GraphqlError:
    if not isinstance(error, dict):
        return GraphqlError(message=str(error)[:500], type="", path=[], field="")
    more = error.get("extensions")
    more = more if isinstance(more, dict) else {}
    path = error.get("path")
    return GraphqlError(
        message=str(error.get("message"))[:500],
        type=str(error.get("type") or more.get("code") or ""),
        path=[part for part in path if isinstance(part, (str, int))] if isinstance(path, list) else [],
        field=str(more.get("fieldName") or ""),
    )


def _words(error: GraphqlError) -> str:
    return f"{error.type}: {error.message}" if error.type else error.message


def _joined(answers: Sequence[QueryAnswer]) -> QueryAnswer:
    """Return the responses to several parts of one query as one."""
    data: Any = {}
    for answer in answers:
        data = _merged(data, answer.data)
    return QueryAnswer(data=checked(data), errors=[error for answer in answers for error in answer.errors])


def _merged(one: Any, other: Any) -> Any:
    """Merge two responses of the same shape: objects by key, lists by position. Each can fill the gaps of the other."""
    if isinstance(one, dict) and isinstance(other, dict):
        if "id" in one and "id" in other and one["id"] != other["id"]:
            raise SourceError("malformed", "GraphQL: two responses about the same objects differ in order")
        return {
            **one,
            **{key: _merged(one.get(key), value) if key in one else value for key, value in other.items()},
        }
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            raise SourceError("malformed", "GraphQL: two responses about the same objects differ in number")
        return [_merged(mine, its) for mine, its in zip(one, other, strict=True)]
    return other if one is None else one
