"""``sprawlscan explain``: the whole chain behind one finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scanner.analyze.explain import NoSuchFindingError, explain, explain_finding
from scanner.analyze.patch import NoPatchError, patch
from scanner.night import open_night

if TYPE_CHECKING:
    from tests.conftest import Demo

RUN = "20261123T020000Z"


def test_every_finding_of_the_demo_can_be_explained(demo: Demo) -> None:
    with open_night(demo.folder, RUN) as night:
        worst = [row[0] for row in night.rows("SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY rule ORDER BY id) AS n FROM findings) WHERE n = 1 ORDER BY id")]  # fmt: skip
        assert len(worst) > 30
        for finding in worst:
            text = explain_finding(night, finding)
            assert text.startswith(finding)
            for part in ("What:    ", "Where:   ", "Owner:   ", "Since:   ", "Why:     ", "Change:  "):
                assert part in text
            assert "None" not in text


def test_a_path_is_numbered_and_the_statement_behind_it_shown(demo: Demo) -> None:
    with open_night(demo.folder, RUN) as night:
        finding = night.one(
            "SELECT id FROM findings WHERE rule = 'pipeline-reaches-admin' ORDER BY id LIMIT 1"
        )
        steps = night.one("SELECT path FROM findings WHERE id = $id", {"id": finding})
    text = explain(demo.folder, RUN, finding)
    for number, step in enumerate(steps, 1):
        assert f"  {number}. {step}" in text
    assert "\nIdentity " in text
    assert "  grant " in text or "  trusted: " in text


def test_the_start_of_an_id_is_enough_when_it_is_one_findings_only(demo: Demo) -> None:
    with open_night(demo.folder, RUN) as night:
        ids = [row[0] for row in night.rows("SELECT id FROM findings ORDER BY id")]
    length = next(size for size in range(1, 65) if sum(other.startswith(ids[0][:size]) for other in ids) == 1)
    assert explain(demo.folder, RUN, ids[0][:length]) == explain(demo.folder, RUN, ids[0])
    common = ids[0][: length - 1]
    with pytest.raises(NoSuchFindingError, match=r"matches several findings: .*Give more characters"):
        explain(demo.folder, RUN, common)


@pytest.mark.parametrize("given", ["zzzz", "%", "' OR 1=1 --"])
def test_a_finding_that_is_not_there_is_reported(demo: Demo, given: str) -> None:
    with pytest.raises(NoSuchFindingError, match=r"has no finding .*`sprawlscan findings` lists the ids"):
        explain(demo.folder, RUN, given)


def finding_of(demo: Demo, name: str) -> str:
    with open_night(demo.folder, RUN) as night:
        query = (
            "SELECT id FROM findings WHERE rule = 'trust-open' AND detail LIKE '%' || $name || ' trusts %'"
        )
        return str(night.one(query, {"name": name}))


def test_a_patch_is_the_changed_policy_and_what_it_ends(demo: Demo) -> None:
    """The pin names the workflow that uses the role."""
    text = patch(demo.folder, RUN, finding_of(demo, "deploy-status-page"))
    assert text.startswith("# Replace the trust policy of role deploy-status-page.\n{")
    assert (
        '"token.actions.githubusercontent.com:sub": "repo:lanternpay/status-page:ref:refs/heads/main"' in text
    )
    ends, remains = text.split("# This ends:")[1].split("# This remains:")
    assert "OIDC-2" in ends
    assert "OIDC-2" not in remains


def test_no_patch_for_another_provider(demo: Demo) -> None:
    with open_night(demo.folder, RUN) as night:
        finding = night.one("SELECT id FROM findings WHERE provider = 'github' ORDER BY id LIMIT 1")
    with pytest.raises(NoPatchError, match="can be proposed for github"):
        patch(demo.folder, RUN, finding)
