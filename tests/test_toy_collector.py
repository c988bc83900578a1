"""The toy collector against a sandbox that is defined by its answers: all contract tests in one line."""

from __future__ import annotations

from sandbox.kit.contract import standard_collector_tests
from sandbox.kit.json_api import JsonApi
from tests import toy_collector

REGISTRY = JsonApi(
    "toy",
    {
        "/registry": {"name": "registry", "motto": "Small, and beautiful!"},
        "/robots": [{"id": n, "name": f"robot {n}", "note": "Rack 7, the cellar."} for n in range(5)],
        "/robots/{robot}/keys": lambda robot: [
            {"id": f"{robot}-{n}", "label": "Spare key.", "made_at": "2026-01-02T03:04:05Z"} for n in "abc"
        ],
    },
)

TestContract = standard_collector_tests(toy_collector, REGISTRY)


def test_every_robot_and_key_is_listed_and_counted() -> None:
    night = REGISTRY.night_of(toy_collector)
    assert len({row.id for row in night.of_tables()}) == 5 + 15
    assert [(row.kind, row.items) for row in night.covered] == [("toy-robot", 5), *[("toy-key", 3)] * 5]
