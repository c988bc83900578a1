"""A toy: the robot accounts of a made-up package registry, and their keys. What a collector looks like on the kit.

Needs: the scopes ``robots`` and ``keys`` of the registry's API.

Cannot see: when a key was last used.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from scanner.collect.auth import IssuedToken, TokenAuth
from scanner.collect.collector import Target
from scanner.collect.http_config import HttpConfig
from scanner.collect.paging import LinkHeader
from scanner.collect.rest import RestClient
from scanner.collect.scope import SourceScope
from scanner.config import SecretRef  # noqa: TC001  pydantic reads the annotations at run time
from scanner.records import Credential, Identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.collect.collector import Run
    from scanner.records import Record

KINDS = {"identities": frozenset(("toy-robot",)), "credentials": frozenset(("toy-key",))}
PAGES = LinkHeader(total="x-total-count")


class Config(HttpConfig):
    base_url: str
    token: SecretRef


def targets(config: Config, run: Run) -> Iterator[Target]:
    yield Target(collector="toy", name=config.base_url, account_id="toy:registry")


def collect(target: Target, config: Config, run: Run) -> Iterator[Record]:
    auth = TokenAuth(lambda: IssuedToken(value=config.token.read()))
    with closing(RestClient(config.base_url, config, run, auth=auth, paginator=PAGES)) as client:
        scope = SourceScope(client=client, run=run, target=target, account_id=target.account_id)
        robots: list[str] = []

        def robot(item: dict[str, Any]) -> Iterator[Record]:
            row = identity(str(item["id"]), str(item["name"]))
            robots.append(row.native_id)
            yield row

        yield from scope.listing(
            "/robots", robot, table="identities", kind="toy-robot", loses=["credentials"]
        )
        for number in robots:
            call = "/robots/{robot}/keys"
            yield from scope.listing(
                call, key, table="credentials", kind="toy-key", item=number, robot=number
            )


def identity(number: str, name: str) -> Identity:
    own = record("robot", number)
    return Identity(**own, surface="automation", kind="toy-robot", native_id=number, name=name)


def key(item: dict[str, Any]) -> Iterator[Record]:
    number, robot = str(item["id"]), record("robot", str(item["robot"]))["id"]
    own = record("key", number)
    yield Credential(**own, identity_id=robot, kind="toy-key", native_id=number, lifetime="static")


def record(kind: str, number: str) -> dict[str, Any]:
    return {"id": f"toy:{kind}:{number}", "provider": "toy", "account_id": "toy:registry"}
