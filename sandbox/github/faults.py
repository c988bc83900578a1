"""Faults that a test switches on for some paths: what networks and GitHub do on a bad day."""

from __future__ import annotations

from typing import Literal, TypeAlias

Trouble: TypeAlias = (
    int
    | Literal[
        "cut",
        "malformed",
        "foreign-next",
        "looping-next",
        "primary",
        "secondary",
        "secondary-bare",
        "too-many",
        "too-many-bare",
        "RATE_LIMITED",
        "RATE_LIMIT",
        "FORBIDDEN",
        "timeout",
    ]
)
"""A status, or:

- ``cut``: the connection closes in the middle of the body;
- ``malformed``: a body that is no JSON;
- ``foreign-next``, ``looping-next``: a ``Link: rel=next`` to another host, or back to the same page;
- ``primary``: 403 with ``X-RateLimit-Remaining: 0`` and the reset time;
- ``secondary``, ``secondary-bare``: 403 of the secondary limit with and without ``Retry-After``;
- ``too-many``, ``too-many-bare``: 429 with and without ``Retry-After``;
- ``RATE_LIMITED``, ``RATE_LIMIT``: GraphQL's limit inside a 200, in both spellings that were seen;
- ``timeout``: GraphQL gave up after its ten seconds: an error without a type in a 200, and null for the data asked for;
- ``FORBIDDEN``: GraphQL answers the first repository with an error and the rest with data.
"""
