"""What goes wrong on a bad day: for some routes, at some time, in a way that a test chooses.

sandbox.fail("GET /orgs/{org}/hooks", "cut", after_bytes=100)
sandbox.fail("/repos/*", 500, times=2)
sandbox.fail("*", 401, after_uses=40)
"""

from __future__ import annotations

import functools
import gzip
from collections import Counter
from fnmatch import fnmatchcase
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import msgspec

from sandbox.kit.http import CLOSED, Reply, reply

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

KitFault: TypeAlias = Literal[
    "too-many",
    "too-many-bare",
    "asks-to-wait",
    "html",
    "html-502",
    "empty-body",
    "empty-object",
    "empty-list",
    "null",
    "malformed",
    "closed",
    "cut",
    "slow",
    "huge",
    "gzip-bomb",
    "deep",
    "looping-next",
    "foreign-next",
    "foreign-redirect",
    "surrogate",
    "short",
]
"""What every sandbox can do, besides any status by its number:

- ``too-many``, ``too-many-bare``: 429 with and without ``Retry-After``;
- ``asks-to-wait``: the right answer, 200, with ``Retry-After``;
- ``html``, ``html-502``: a sign-in page with 200, a proxy's error page with 502;
- ``empty-body``, ``empty-object``, ``empty-list``, ``null``: 200 with no body, ``{}``, ``[]``, ``null``;
- ``malformed``: half of the body, which is no JSON any more;
- ``closed``: the connection closes without an answer;
- ``cut``: it closes before as much came as ``Content-Length`` says;
- ``slow``: one byte at a time, each after a pause that is shorter than any read timeout;
- ``huge``, ``gzip-bomb``: an answer of `HUGE` bytes, sent as it is or as some kilobytes of gzip;
- ``deep``: JSON nested `DEPTH` levels deep;
- ``looping-next``: a next page that is this page; ``foreign-next``: one on another host;
- ``foreign-redirect``: 302 to another host;
- ``surrogate``: a lone UTF-16 surrogate (``\\ud800``) in the first text of the answer;
- ``short``: nothing listed, where the answer says that there is something.
"""

Trouble: TypeAlias = str | int
"""A status, a name of `KitFault`, or a name that the provider's sandbox explains."""

KIT_FAULTS: tuple[KitFault, ...] = get_args(KitFault)
INSTEAD: frozenset[Trouble] = frozenset(
    {"too-many", "too-many-bare", "html", "html-502", "empty-body", "empty-object", "empty-list", "null"}
    | {"closed", "huge", "gzip-bomb", "deep", "foreign-redirect"}
)
"""Those that are given instead of the API's own answer; the others spoil that one."""

HUGE = 2**28
"""Bytes of a huge answer: more than any listing has, and more than a client should hold."""
DEPTH = 200_000
RETRY_AFTER = 1
"""Seconds that a throttled client is asked to wait."""
DRIP_SECONDS = 0.2
"""The pause before each byte of a slow answer."""

_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Sign in</form></body></html>"
_BLOCK = b" " * 2**16


class SetFault(msgspec.Struct, kw_only=True):
    """One fault that is switched on, and how often it still strikes."""

    pattern: str
    kind: Trouble
    times: int | None = None
    """How often it strikes; None for always."""
    from_request: int = 1
    """It strikes from the n-th request of the same path on: the n-th page of a list."""
    after_bytes: int | None = None
    """Where a cut or slow answer stops flowing; None for half of it, or for its beginning."""
    after_uses: int = 0
    """It strikes a token that was used so often before."""
    since: str | None = None
    """It strikes from the first request of this route on, and stays."""
    met: Counter[str] = msgspec.field(default_factory=Counter)


class FaultSwitch:
    """The faults that are switched on. Thread-safe."""

    def __init__(self) -> None:
        self._faults: list[SetFault] = []
        self._lock = Lock()

    def add(self, fault: SetFault) -> None:
        """Switch a fault on."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._faults.clear()

    def strike(self, names: Collection[str], paths: Collection[str], uses: int) -> SetFault | None:
        """Return the fault that meets a request, and count it.

        ``names`` are the request's route, written with and without the method; a pattern may be one of them, or a glob
        over one of ``paths``. ``uses`` says how often the request's token was used before.
        """
        with self._lock:
            for fault in self._faults:
                if fault.pattern not in names and not any(fnmatchcase(path, fault.pattern) for path in paths):
                    continue
                if fault.since is not None:
                    if fault.since not in names:
                        continue
                    fault.since = None
                path = next(iter(paths), "")
                fault.met[path] += 1
                if fault.met[path] < fault.from_request or uses < fault.after_uses:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if not fault.times:
                        self._faults.remove(fault)
                return fault
        return None


def instead(fault: SetFault, target: str, elsewhere: str) -> Reply | None:
    """Return the answer that a fault gives in place of the API's own; None for those that spoil that one.

    ``target`` is path and query of the request, ``elsewhere`` the origin of the other host.
    """
    match fault.kind:
        case "too-many":
            return reply(429, {"message": "Too many requests"}, {"Retry-After": str(RETRY_AFTER)})
        case "too-many-bare":
            return reply(429, {"message": "Too many requests"})
        case "closed":
            return Reply(status=CLOSED, body=b"", headers={})
        case "html":
            return _html(200)
        case "html-502":
            return _html(502)
        case "empty-body":
            return Reply(status=200, body=b"", headers={})
        case "empty-object":
            return reply(200, {})
        case "empty-list":
            return reply(200, [])
        case "null":
            return reply(200, None)
        case "deep":
            return Reply(status=200, body=b"[" * DEPTH + b"]" * DEPTH, headers={})
        case "huge":
            return Reply(status=200, body=b"", headers={}, stream=_endless(), length=HUGE)
        case "gzip-bomb":
            return Reply(status=200, body=_bomb(), headers={"Content-Encoding": "gzip"})
        case "foreign-redirect":
            return Reply(status=302, body=b"", headers={"Location": f"{elsewhere}{target}"})
        case _:
            return None


def spoil(answer: Reply, fault: SetFault) -> None:
    """Spoil an answer that was right. Links to a next page are for the API to write."""
    if answer.status == 304:
        return
    match fault.kind:
        case "asks-to-wait":
            answer.headers["Retry-After"] = str(RETRY_AFTER)
        case "malformed":
            answer.body = answer.body[: max(1, len(answer.body) // 2)] + b"\x00"
        case "cut":
            end = len(answer.body) // 2 if fault.after_bytes is None else fault.after_bytes
            answer.length = len(answer.body) + 1
            answer.body = answer.body[:end]
        case "slow":
            answer.length = len(answer.body)
            answer.stream = _drip(answer.body, fault.after_bytes or 0)
        case "surrogate":
            answer.body = _with_surrogate(answer.body)
        case "short" if says_total(answer):
            answer.body = msgspec.json.encode(emptied(msgspec.json.decode(answer.body)))
        case _:
            return


def _html(status: int) -> Reply:
    return Reply(status=status, body=_PAGE, headers={"Content-Type": "text/html; charset=utf-8"})


def _endless() -> Iterator[bytes | float]:
    yield b"["
    for _ in range(HUGE // len(_BLOCK) - 1):
        yield _BLOCK
    yield _BLOCK[2:] + b"]"


@functools.cache
def _bomb() -> bytes:
    # Several gzip members one after the other are one gzip file (RFC 1952, section 2.2).
    member = gzip.compress(b" " * 2**24, 9)
    return gzip.compress(b"[", 9) + member * (HUGE // 2**24) + gzip.compress(b"]", 9)


def _drip(body: bytes, start: int) -> Iterator[bytes | float]:
    yield body[:start]
    for place in range(start, len(body)):
        yield DRIP_SECONDS
        yield body[place : place + 1]


def _with_surrogate(body: bytes) -> bytes:
    """Put the escape of a lone surrogate into the first text of a JSON document."""
    text = body.find(b': "') if b': "' in body else body.find(b':"')
    start = body.find(b'"', text + 1) + 1
    return body[:start] + b"\\ud800" + body[start:] if text >= 0 else b'["\\ud800"]'


def emptied(body: Any) -> Any:
    """Return a JSON document with every list in it empty; what says a total stays."""
    if isinstance(body, list):
        return []
    if isinstance(body, dict):
        return {key: emptied(value) for key, value in body.items()}
    return body


def says_total(answer: Reply) -> bool:
    """Return whether an answer says how many items there are in all, more than none."""
    totals = [value for name, value in answer.headers.items() if name.lower() in {"x-total", "x-total-count"}]
    if any(total.isdigit() and int(total) for total in totals):
        return True
    try:
        body = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return False
    return _counts(body)


def _counts(body: Any) -> bool:
    if not isinstance(body, dict):
        return False
    counted = (body.get(name) for name in ("total_count", "totalCount", "count"))
    return any(isinstance(total, int) and total for total in counted) or any(
        _counts(value) for value in body.values()
    )
