"""Small clusters with labels that were written first, from the Kubernetes documentation: what the collector reads of each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.labeled_clusters import ReadCluster, built, estates, night_of

ESTATES = estates()


@pytest.mark.parametrize("estate", ESTATES, ids=lambda one: one["estate"])
def test_a_cluster_is_read_as_its_labels_say(estate: dict[str, Any]) -> None:
    read = ReadCluster(night_of(built(estate)))
    wrong = [line for line in map(read.wrong, estate["labels"]) if line]
    assert wrong == []


def opposite(label: dict[str, Any]) -> dict[str, Any]:
    """Return a label that says the contrary."""
    match label:
        case {"powers": _, "has": held}:
            return {**label, "has": [], "lacks": held}
        case {"powers": who, "lacks": lacked}:
            return {"powers": who, "has": lacked}
        case {"silent": who}:
            return {"powers": who, "has": ["read"]}
        case {"holds": holds}:
            return {**label, "holds": not holds}
        case {"mounted": mounted}:
            return {**label, "mounted": not mounted}
        case {"reached": reached}:
            return {**label, "reached": not reached}
        case {"control": _, "is": given}:
            return {**label, "is": "absent" if given == "enforced" else "enforced", "also": []}
        case {"rollout": place}:
            return {"rollout": place, "is": "nothing"}
        case {"static": _}:
            return {**label, "used": "2020-01-01"}
        case {"no_static": place}:
            return {"static": place, "used": "unknown"}
        case _:
            raise ValueError(label)


@pytest.mark.parametrize("estate", ESTATES[2::3], ids=lambda one: one["estate"])
def test_a_label_that_says_the_contrary_is_noticed(estate: dict[str, Any]) -> None:
    read = ReadCluster(night_of(built(estate)))
    assert [label for label in estate["labels"] if read.wrong(opposite(label)) is None] == []


def test_there_are_ten_clusters_and_a_hundred_labels() -> None:
    assert len(ESTATES) == 10
    assert sum(len(one["labels"]) for one in ESTATES) > 100
