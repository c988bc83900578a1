"""The differences between what the documentation says and what the product computed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Comparison:
    """What was compared, and what differs, by kind."""

    compared: Counter[str] = field(default_factory=Counter)
    differs: Counter[str] = field(default_factory=Counter)
    samples: list[str] = field(default_factory=list)

    def check(self, kind: str, where: str, expected: object, actual: object) -> None:
        """Compare one value."""
        self.compared[kind] += 1
        if expected != actual:
            self.differs[kind] += 1
            self.samples.append(f"{where}: {kind}: documentation {expected}, product {actual}")
