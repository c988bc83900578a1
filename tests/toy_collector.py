"""A toy: the robot accounts of a made-up package registry, and their keys. An example of a collector built on the kit.

Needs: the scopes ``robots`` and ``keys`` of the registry's API.

Cannot see: when a key was last used.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from scanner.collect.auth import IssuedToken, TokenAuth
from scanner.collect.collector import Target
from scanner.collect.http_config import HttpConfig
from scanner.collect.listings import preflight
from scanner.collect.paging import LinkHeader
from scanner.collect.rest import RestClient
from scanner.collect.scope import SourceScope
from scanner.config import SecretRef  # noqa: TC001  pydantic reads the annotations at run time
from scanner.records import Credential, Identity, record_id

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from scanner.collect.collector import Run
    from scanner.records import Record

KINDS = {"identities": frozenset(("toy-robot",)), "credentials": frozenset(("toy-key",))}
PAGES = LinkHeader(total="x-total-count")


class Config(HttpConfig):
    """Where the registry is, and the token to read it with."""

    base_url: str
    """URL of the registry. Its host is the only one contacted."""
    token: SecretRef
    """A token with the scopes ``robots`` and ``keys``."""


def targets(config: Config, run: Run) -> Iterator[Target]:
    """Yield the registry."""
    yield Target(collector="toy", name="registry", account_id="toy:registry")


def collect(target: Target, config: Config, run: Run) -> Iterator[Record]:
    """Yield the robots and their keys."""
    auth = TokenAuth(lambda: IssuedToken(value=config.token.read()))
    with closing(RestClient(config.base_url, config, run, auth=auth, paginator=PAGES)) as client:
        scope = SourceScope(client=client, run=run, target=target, account_id=target.account_id)
        if (yield from preflight(registry(scope), scope.request("*", "GET /registry"))):
            for number in (yield from robots(scope)):
                yield from keys(scope, number)


def registry(scope: SourceScope) -> Generator[Record, None, bool]:
    """Return whether the registry answers."""
    yield from ()
    return bool(scope.client.one("/registry")["name"])


def robots(scope: SourceScope) -> Generator[Record, None, list[str]]:
    """Yield the robots, and return their numbers."""
    found: list[str] = []

    def robot(item: dict[str, Any]) -> Iterator[Record]:
        number = str(item["id"])
        found.append(number)
        yield Identity(
            id=record_id("toy", "robot", number),
            provider="toy",
            account_id=scope.account_id,
            native_id=number,
            name=str(item["name"]),
            surface="automation",
            kind="toy-robot",
        )

    yield from scope.listing("/robots", robot, table="identities", kind="toy-robot", loses=["credentials"])
    return found


def keys(scope: SourceScope, robot: str) -> Iterator[Record]:
    """Yield the keys of a robot."""

    def key(item: dict[str, Any]) -> Iterator[Record]:
        number = str(item["id"])
        yield Credential(
            id=record_id("toy", "key", number),
            provider="toy",
            account_id=scope.account_id,
            native_id=number,
            name=number,
            identity_id=record_id("toy", "robot", robot),
            kind="toy-key",
            lifetime="static",
        )

    path = "/robots/{robot}/keys"
    yield from scope.listing(path, key, table="credentials", kind="toy-key", item=robot, robot=robot)
