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


def test_a_wrong_label_is_noticed() -> None:
    read = ReadCluster(night_of(built(ESTATES[0])))
    for label in ESTATES[0]["labels"]:
        match label:
            case {"control": _, "is": given}:
                other = {"enforced": "absent"}.get(given, "enforced")
                assert read.wrong({**label, "is": other, "also": []})
            case _:
                pass


def test_there_are_ten_clusters_and_a_hundred_labels() -> None:
    assert len(ESTATES) == 10
    assert sum(len(one["labels"]) for one in ESTATES) > 100
