"""Rules for imports, read from the source of every file, including imports for type checkers and inside functions."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from collectors import definitions

ROOT = Path(__file__).parents[1]
PACKAGES = ("sprawlscan", "scanner", "collectors", "reports", "sandbox")

Edges = set[tuple[str, str]]


class Module(NamedTuple):
    """A module of ours, and what it imports."""

    tree: ast.Module
    imported: frozenset[str]
    """Modules, ours and others', by their full names."""
    names: frozenset[str]
    """The same with the names that are taken from them: ``collectors.definitions.read_file``."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Module]:
    paths = {name_of(path): path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    found = {}
    for name, path in sorted(paths.items()):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported, names = set(), set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name}: imports name their module in full"
                assert node.module
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    imported.add(full if full in paths else node.module)
                    names.add(full)
        found[name] = Module(tree, frozenset(imported - {name}), frozenset(names | imported))
    return found


def within(name: str, *rooms: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def crossings(from_rooms: tuple[str, ...], to_rooms: tuple[str, ...]) -> Edges:
    """Return the imports that lead from one set of rooms into another."""
    return {
        (name, target)
        for name, module in modules().items()
        if within(name, *from_rooms)
        for target in module.imported
        if within(target, *to_rooms)
    }


def shown(edges: Edges) -> str:
    return "\n".join(f"{source} imports {target}" for source, target in sorted(edges))


ROOMS = ("secrets", "collect", "analyze", "questions", "pipeline", "check", "command")
GROUND = (
    "scanner.secrets",
    *(name_of(path) for path in (ROOT / "scanner").glob("*.py") if path.stem != "__init__"),
)
"""The base modules of the scanner, which are in none of its packages."""

FORBIDDEN: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "the scanner finds collectors, reports and the sandbox by name": (
        ("scanner",),
        ("collectors", "reports", "sandbox", "sprawlscan"),
    ),
    "the ground imports nothing above it": (
        GROUND,
        (
            "scanner.collect",
            "scanner.analyze",
            "scanner.questions",
            "scanner.pipeline",
            "scanner.check",
            "scanner.command",
        ),
    ),
    "questions are answered from a stored night alone": (
        ("scanner.questions",),
        ("scanner.collect", "scanner.analyze", "scanner.pipeline", "scanner.check", "scanner.command"),
    ),
    "analysis works on what was collected, without the collecting": (
        ("scanner.analyze",),
        ("scanner.collect", "scanner.questions", "scanner.pipeline", "scanner.check", "scanner.command"),
    ),
    "collecting knows nothing of what is done with it": (
        ("scanner.collect",),
        ("scanner.analyze", "scanner.questions", "scanner.pipeline", "scanner.check", "scanner.command"),
    ),
    "the pipeline can run without a command line": (
        ("scanner.pipeline",),
        ("scanner.check", "scanner.command"),
    ),
    "a collector imports the ground and scanner.collect": (
        ("collectors",),
        (
            "scanner.analyze",
            "scanner.pipeline",
            "scanner.check",
            "scanner.command",
            "reports",
            "sandbox",
            "sprawlscan",
        ),
    ),
    "a report imports the ground and the analysis": (
        ("reports",),
        (
            "scanner.collect",
            "scanner.pipeline",
            "scanner.check",
            "scanner.command",
            "collectors",
            "sandbox",
            "sprawlscan",
        ),
    ),
}


@pytest.mark.parametrize("law", FORBIDDEN)
def test_no_room_imports_what_lies_above_or_beside_it(law: str) -> None:
    broken = crossings(*FORBIDDEN[law])
    assert not broken, f"{law}:\n{shown(broken)}"


def test_the_scanner_has_these_rooms_and_no_others() -> None:
    assert {path.parent.name for path in (ROOT / "scanner").glob("*/__init__.py")} == set(ROOMS)


def test_only_plugins_imports_by_name() -> None:
    found = {
        name
        for name, module in modules().items()
        if within(name, "scanner")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in {"import_module", "__import__"}
    }
    assert found == {"scanner.plugins"}


def collector_of(name: str) -> str:
    return ".".join(name.split(".")[:2])


def test_a_listing_imports_no_other_listing() -> None:
    broken = {
        (name, target)
        for name, module in modules().items()
        if within(name, "collectors") and ".listings." in name
        for target in module.imported
        if within(target, "collectors") and (".listings." in target or target.endswith(".listings"))
    }
    assert not broken, shown(broken)


CLIENTS = ("scanner.collect.rest", "scanner.collect.transport", "scanner.collect.auth")
"""Where the network is."""


def reached(name: str) -> set[str]:
    """Return a module of a collector with the modules of collectors that it imports, directly or through others."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += [
                other for other in modules()[one].imported & modules().keys() if within(other, "collectors")
            ]
    return found


def test_an_evaluator_reaches_no_client_and_no_sdk() -> None:
    # CEL is the language of conditions: an evaluator of texts, without a client.
    allowed = {*sys.stdlib_module_names, "cel", "msgspec", "yaml"}
    broken = {
        (f"{name} (through {through})" if through != name else name, target)
        for name in modules()
        if ".evaluator" in name
        for through in reached(name)
        for target in modules()[through].imported
        if target.endswith(".client")
        or within(target, *CLIENTS)
        or (within(target, "collectors") and ".listings" in target)
        or (not within(target, *PACKAGES) and target.split(".")[0] not in allowed)
    }
    assert not broken, shown(broken)


def test_a_collector_imports_no_other_collector_but_the_interface_of_definitions() -> None:
    offered = {f"collectors.definitions.{name}" for name in definitions.__all__}
    broken = {
        (name, target)
        for name, module in modules().items()
        if within(name, "collectors") and name.count(".")
        for target in module.names
        if within(target, "collectors") and collector_of(target) != collector_of(name)
        # A name with an underscore is no collector: what several share.
        if target not in {"collectors", "collectors.definitions", *offered}
        and not target.startswith("collectors._")
    }
    assert not broken, shown(broken)


def circles() -> list[set[str]]:
    """Return the sets of modules that import one another in a circle (Tarjan's strongly connected components)."""
    graph = {name: sorted(module.imported & modules().keys()) for name, module in modules().items()}
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for target in graph[node]:
            if target not in order:
                visit(target)
                lowest[node] = min(lowest[node], lowest[target])
            elif target in stack:
                lowest[node] = min(lowest[node], order[target])
        if lowest[node] == order[node]:
            circle: set[str] = set()
            while node not in circle:
                circle.add(stack.pop())
            if len(circle) > 1:
                found.append(circle)

    for node in graph:
        if node not in order:
            visit(node)
    return found


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert [sorted(circle) for circle in circles()] == []


def test_public_class_names_are_unique() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for name, module in modules().items():
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name != "Config":
                # Every collector and report calls its section of config.yaml `Config`.
                places[node.name].append(name)
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert twice == {}
