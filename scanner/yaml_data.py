"""Reading YAML files that ship with the code: tables of actions, powers and escalation paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

# CSafeLoader is six times faster but not part of every build of PyYAML: https://pyyaml.org/wiki/PyYAMLDocumentation
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """Return the values of a UTF-8 YAML file. For hand-written files of users there is `scanner.document`, which names
    the place of a problem.
    """
    return yaml.load(path.read_text(encoding="utf-8"), LOADER)  # noqa: S506  both are safe loaders
