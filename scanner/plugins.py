"""Finds collectors and reports by name, as built-in modules and entry points. There is no registry.

``scanner`` never imports ``collectors`` or ``reports`` directly, so that an installation without an extra works and a
plugin is equal to a built-in module.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from scanner.kinds import DeclaresKinds, together

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scanner.checked import Checked
    from scanner.kinds import DeclaredKinds
    from scanner.night import Night

COLLECTORS = "sprawlscan.collectors"
"""The entry point group of collectors."""
REPORTS = "sprawlscan.reports"
"""The entry point group of reports."""
SANDBOX = "sandbox"
"""The package of the simulated company."""


class CollectorModule(DeclaresKinds, Protocol):
    """The part of a collector module that needs no collection; `scanner.collect.collector.Collector` is the whole."""

    Config: type[Any]
    """Its section of config.yaml, a `scanner.config.Section`."""


class Report(Protocol):
    """The interface of a report module without options."""

    def write(self, night: Night, folder: Path) -> list[Path]:
        """Write this report's files into the folder, and return their paths."""


class ReportWithOptions(Protocol):
    """The interface of a report module with options: a `scanner.config.Section` for its section of config.yaml."""

    Config: type[Any]

    def write(self, night: Night, folder: Path, config: Any) -> list[Path]:
        """Write this report's files into the folder, and return their paths."""


class CheckFormat(Protocol):
    """The interface of a format of ``sprawlscan check``."""

    def text_of(self, checked: Checked) -> str:
        """Return the result as text."""


class Demo(Protocol):
    """The demo: scans a simulated company twice into a folder."""

    def __call__(  # noqa: D102
        self, folder: Path, *, progress: Any, echo: Callable[[str], object], keep: bool = ...
    ) -> object: ...


def _modules(package: str) -> set[str]:
    found = importlib.import_module(package)
    return {module.name for module in pkgutil.iter_modules(found.__path__) if not module.name.startswith("_")}


def _entries(group: str) -> dict[str, importlib.metadata.EntryPoint]:
    return _entries_on(tuple(sys.path), group)


@cache
def _entries_on(_path: tuple[str, ...], group: str) -> dict[str, importlib.metadata.EntryPoint]:
    """Read the metadata of every package on the path, once: there may be hundreds."""
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=group)}


def collector_names() -> list[str]:
    """Return the names of the installed collectors (``azure-devops`` is the module ``azure_devops``)."""
    return sorted(name.replace("_", "-") for name in _modules("collectors") | set(_entries(COLLECTORS)))


def load_collector(name: str) -> CollectorModule:
    """Import the collector ``name``. Raises LookupError if there is none."""
    entry = _entries(COLLECTORS).get(name)
    if entry is not None:
        loaded: CollectorModule = entry.load()
        return loaded
    if name not in collector_names():
        raise LookupError(name)
    module: Any = importlib.import_module(f"collectors.{name.replace('-', '_')}")
    return module  # type: ignore[no-any-return]


def after_of(name: str) -> tuple[str, ...]:
    """Return the tables of the current night that a collector reads: ``table`` or ``table/kind``; none for most."""
    return tuple(getattr(load_collector(name), "after", ()))


def declared_kinds() -> DeclaredKinds:
    """Return the combined declarations of all installed collectors."""
    return together(load_collector(name) for name in collector_names())


def report_names() -> list[str]:
    """Return the names of the installed reports: modules of ``reports`` with a `write` function, and entry points."""
    found = {
        name for name in _modules("reports") if hasattr(importlib.import_module(f"reports.{name}"), "write")
    }
    return sorted(found | set(_entries(REPORTS)))


def load_report(name: str) -> Report | ReportWithOptions:
    """Import a report module. Raises LookupError if it does not exist."""
    entry = _entries(REPORTS).get(name)
    if entry is not None:
        loaded: Report | ReportWithOptions = entry.load()
        return loaded
    if name not in report_names():
        raise LookupError(name)
    module: Any = importlib.import_module(f"reports.{name}")
    return module  # type: ignore[no-any-return]


def report_config(name: str) -> type[Any] | None:
    """Return the options class of a report, or None. Raises LookupError if the report does not exist."""
    found: type[Any] | None = getattr(load_report(name), "Config", None)
    return found


def check_formats() -> list[str]:
    """Return the names of the formats of `sprawlscan check`: the modules of ``reports.check``."""
    return sorted(_modules("reports.check"))


def load_check_format(name: str) -> CheckFormat:
    """Import a format of `sprawlscan check`. Raises LookupError if it does not exist."""
    if name not in check_formats():
        raise LookupError(name)
    module: Any = importlib.import_module(f"reports.check.{name}")
    return module  # type: ignore[no-any-return]


def load_demo() -> Demo:
    """Import the demo, the module ``demo`` of the sandbox. Raises ImportError naming the missing package of the extra
    ``demo``.
    """
    module: Any = importlib.import_module(f"{SANDBOX}.demo")
    run_demo: Demo = module.run_demo
    return run_demo
