"""What an earlier night read, and when it is read again.

In organizations of more than ``rotate_above`` projects, a later night reads the lists that hold credentials (service connections,
variable groups, pipelines) and the organization's own in full. All else is read again when something says that it changed, and
otherwise in rotation. What is carried forward names the night that read it.

Azure DevOps has no list of what changed, save the audit log, which few may read. What shows a change:

- an access control list, which every new service connection, variable group, environment and repository gets
- ``modificationDate`` and ``modifiedOn`` of connections and variable groups, ``revision`` of definitions
- the newest run in the list of definitions (``includeLatestBuilds``): without one, nothing was deployed and no connection used
- the commit of a branch, for definition files and their templates
- an event of the audit log that names the project
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from scanner.collect.memory import Carried

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    from scanner.collect.memory import KeptReading, Memory
    from scanner.records import Record

T = TypeVar("T")
SLOW = 4
"""How many times as long as ``rotation_days`` is the turn of what shows no sign of a change."""


class DevOpsNights:
    """The readings of earlier nights. Thread-safe."""

    def __init__(self, memory: Memory, *, as_of: datetime, days: int, rotate: bool) -> None:
        """``rotate``: whether there are so many projects that readings are carried forward."""
        self.memory = memory
        self.rotate = rotate
        self.carried = Carried()
        self._as_of = as_of
        self._days = days

    def rotating(self) -> DevOpsNights:
        """Return the readings of an organization with so many projects that they are carried forward."""
        return DevOpsNights(self.memory, as_of=self._as_of, days=self._days, rotate=True)

    def earlier(self, key: str) -> KeptReading | None:
        """Return what an earlier night read; None if there is nothing that may be carried forward."""
        return self.memory.reading(_number(key)) if self.rotate else None

    def reading(
        self,
        key: str,
        digest: str,
        read: Generator[Record, None, T],
        decoder: msgspec.json.Decoder[T],
        *,
        slowly: bool = False,
        again: bool = False,
    ) -> Generator[Record, None, T]:
        """Yield what ``read`` yields, or what it yielded on an earlier night with the same ``digest``, and return its value.

        ``slowly``: nothing says that it changed, so that its turn comes less often; ``again``: it is read tonight
        in any case. A reading with gaps is not kept.
        """
        if not self.rotate:
            return (yield from read)
        number = _number(key)
        earlier = self.memory.reading(number)
        days = self._days * (SLOW if slowly else 1)
        if (
            earlier is not None
            and not again
            and not earlier.stale(number, digest, as_of=self._as_of, days=days)
        ):
            self.carried.note(earlier.read_at)
            yield from earlier.carried()
            return decoder.decode(earlier.facts)
        return (yield from self.memory.kept(number, digest, read))


def _number(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7])


def digest_of(*parts: Any) -> str:
    """Return a digest of values, with dictionaries in any order. Nothing of them can be read from it."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:32]
