"""Handlers of operations, and pagination of those that the sandbox answers itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from sandbox.aws.state import State
from sandbox.aws.wire import AwsCall, AwsError

Forward: TypeAlias = Callable[[], dict[str, Any]]
"""Forwards the call to moto, and returns its answer with the state's dates."""
Handler: TypeAlias = Callable[[State, AwsCall, Forward], dict[str, Any]]

TOKENS = (
    ("nextToken", "nextToken", "maxResults"),
    ("NextToken", "NextToken", "MaxResults"),
    ("Marker", "NextMarker", "MaxItems"),
    ("Marker", "Marker", "MaxItems"),
    ("NextToken", "NextToken", "MaxItems"),
    ("nextToken", "nextToken", "pageSize"),
)
"""Names of token in, token out and limit, as the services spell them."""


def paged(call: AwsCall, member: str, items: list[Any], size: int) -> dict[str, Any]:
    """Return the requested page, with the token of the next page, in the operation's own spelling."""
    given, shown = set(call.model.input_shape.members), set(call.model.output_shape.members)
    names = next(
        (three for three in TOKENS if three[0] in given and three[1] in shown and three[2] in given), None
    )
    names = names or next((three for three in TOKENS if three[0] in given and three[1] in shown), None)
    if names is None:
        return {member: items}
    token_in, token_out, limit = names
    start = position(call.params.get(token_in))
    end = start + min(int(call.params.get(limit) or size), size if size < 100 else 1000)
    answer: dict[str, Any] = {member: items[start:end]}
    if "IsTruncated" in shown:
        answer["IsTruncated"] = end < len(items)
    if end < len(items):
        answer[token_out] = f"page-{end}"
    return answer


def position(token: Any) -> int:
    """Return the start of a token's page. Raises `AwsError` for an unknown token."""
    if not token:
        return 0
    text = str(token)
    if not text.startswith("page-") or not text[5:].isdigit():
        raise AwsError("InvalidNextTokenException", "The token is not valid")
    return int(text[5:])
