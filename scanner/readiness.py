"""What of a valid configuration cannot work, found before the first request: references, keys, packages.

One wrong credential would make everything behind it look lost. So a run refuses to begin, and `check-config` says the
same, with the place in config.yaml and what to do.
"""

from __future__ import annotations

import importlib.metadata
import re
from typing import TYPE_CHECKING, Any

from scanner.config import SecretMissingError, SecretRef, Section
from scanner.plugins import load_collector
from scanner.secrets.configured import SHORTEST_SECRET

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from scanner.config_file import Loaded
    from scanner.document import Where


def unready(loaded: Loaded, only: Collection[str] = (), *, everything: bool = False) -> list[str]:
    """Return a line for each thing that cannot work, of all collectors or of those in ``only``.

    Secrets are read, so that they can be hidden from now on. With ``everything``, also what costs a run no more than a
    part of it: folders that are missing, addresses of notifications.
    """
    problems: list[str] = []

    def report(where: Where, what: str) -> None:
        document = loaded.document
        key = ".".join(str(part) for part in where)
        problems.append(document.problem(where, what) if document else f"{key}: {what}")

    for name, sections in sorted(loaded.settings.collectors.items()):
        if only and name not in only:
            continue
        missing = missing_packages(name)
        if missing:
            what = (
                f"needs {', '.join(missing)}, which is not installed; run: pip install 'sprawlscan[{name}]'"
            )
            report(("collectors", name), what)
        for index, section in enumerate(sections):
            place: Where = ("collectors", name, *((index,) if _listed(loaded, name) else ()))
            wrong = dict(_wrong(section, place, folders=everything))
            if not wrong and not missing:
                check = getattr(load_collector(name), "problems", None)
                wrong = {(*place, *key.split(".")): what for key, what in (check(section) if check else ())}
            for where, what in wrong.items():
                report(where, what)
    notified = dict(_wrong(loaded.settings.notify, ("notify",), folders=False))
    for where, what in notified.items() if everything else ():
        report(where, what)
    return problems


def _listed(loaded: Loaded, name: str) -> bool:
    """Return whether config.yaml gives a list of sections."""
    value = loaded.document.value if loaded.document else None
    return isinstance(value, dict) and isinstance(value.get("collectors", {}).get(name), list)


def missing_packages(collector: str, distribution: str = "sprawlscan") -> list[str]:
    """Return the packages of the extra named like a collector that are not installed."""
    try:
        required = importlib.metadata.requires(distribution) or []
    except importlib.metadata.PackageNotFoundError:  # a source tree that was not installed
        return []
    named = re.compile(rf"""extra\s*==\s*['"]{re.escape(collector)}['"]""")
    packages = [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in required if named.search(line)]
    return sorted(name for name in packages if not _installed(name))


def _installed(package: str) -> bool:
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _wrong(value: Any, where: Where, *, folders: bool) -> Iterator[tuple[Where, str]]:
    """Yield each reference that cannot be resolved, and each file that is missing, with its place."""
    match value:
        case Section():
            for name in type(value).model_fields:
                yield from _wrong(getattr(value, name), (*where, name), folders=folders)
        case list() | tuple():
            for index, item in enumerate(value):
                if hasattr(item, "is_dir"):
                    if folders:
                        yield from _absent(item, (*where, index))
                else:
                    yield from _wrong(item, (*where, index), folders=folders)
        case SecretRef():
            yield from _unreadable(value, where)
        case str() if value.startswith("${"):
            yield from _unreadable(SecretRef(value), where, shortest=1)
        case _ if hasattr(value, "is_dir"):
            yield from _absent(value, where)
        case _:
            return


def _absent(path: Path, where: Where) -> Iterator[tuple[Where, str]]:
    if not path.exists():
        yield where, f"{path} does not exist; correct the path, or create it"
    elif not (path.is_file() or path.is_dir()):
        yield where, f"{path} is neither a file nor a folder"


def _unreadable(
    reference: SecretRef, where: Where, *, shortest: int = SHORTEST_SECRET
) -> Iterator[tuple[Where, str]]:
    try:
        value = reference.read()
    except SecretMissingError as exc:
        yield where, f"{exc}; set it, or name another variable or file"
        return
    if len(value) < shortest:
        what = (
            f"{reference.reference} has fewer than {shortest} characters: so short a secret cannot be told from "
            "other text, and not be hidden in logs; use a longer one"
        )
        yield where, what
