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
from scanner.collect.listings import preflight
from scanner.collect.paging import LinkHeader
from scanner.collect.rest import RestClient
from scanner.collect.scope import SourceScope
from scanner.config import SecretRef  # noqa: TC001  pydantic reads the annotations at run time
from scanner.records import Credential, Identity

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from scanner.collect.collector import Run
    from scanner.records import Record

KINDS = {
    "identities": frozenset(("toy-robot",)),
    "credentials": frozenset(("toy-key",)),
}
PAGES = LinkHeader(total="x-total-count")


class Config(HttpConfig):
    base_url: str
    token: SecretRef


def targets(config: Config, run: Run) -> Iterator[Target]:
    yield Target(collector="toy", name="registry", account_id="toy:registry")


def collect(target: Target, config: Config, run: Run) -> Iterator[Record]:
    auth = TokenAuth(lambda: IssuedToken(value=config.token.read()))
    with closing(RestClient(config.base_url, config, run, auth=auth, paginator=PAGES)) as client:
        yield from robots(SourceScope(client=client, run=run, target=target, account_id=target.account_id))


def robots(scope: SourceScope) -> Iterator[Record]:
    own: dict[str, Any] = {"provider": "toy", "account_id": scope.account_id}
    found: list[str] = []

    def itself() -> Generator[Record, None, bool]:
        yield from ()
        return bool(scope.client.one("/registry")["name"])

    def robot(item: dict[str, Any]) -> Iterator[Record]:
        number = str(item["id"])
        found.append(number)
        shown: dict[str, Any] = {**own, "id": f"toy:robot:{number}", "native_id": number}
        yield Identity(**shown, name=str(item["name"]), surface="automation", kind="toy-robot")

    def key(item: dict[str, Any]) -> Iterator[Record]:
        number, robot = str(item["id"]), f"toy:robot:{item['robot']}"
        shown: dict[str, Any] = {**own, "id": f"toy:key:{number}", "native_id": number, "name": number}
        yield Credential(**shown, identity_id=robot, kind="toy-key", lifetime="static")

    if not (yield from preflight(itself(), scope.request("*", "GET /registry"))):
        return
    yield from scope.listing("/robots", robot, table="identities", kind="toy-robot", loses=["credentials"])
    keys = "/robots/{robot}/keys"
    for number in found:
        yield from scope.listing(keys, key, table="credentials", kind="toy-key", item=number, robot=number)
