"""SARIF, OCSF, OSCAL, BloodHound and JUnit, as their importers read them."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import msgspec
import pytest

import scanner.sarif
from scanner.night import open_night
from scanner.plugins import report_names
from scanner.questions.finding_list import FindingFilter, find_sarif
from scanner.sarif import FilePlace, places
from tests.export_schemas import (
    junit_problems,
    ocsf_problems,
    opengraph_problems,
    problems,
    published,
)
from tests.synthetic_night import PROD, write_night

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.findings import Finding
    from tests.conftest import Demo

EXPORTS = ("sarif", "ocsf", "oscal", "opengraph", "junit")


def newest(state: Path) -> str:
    return max(path.name for path in (state / "analysis").iterdir())


def export(name: str, state: Path, out: Path, **settings: Any) -> list[Path]:
    run_id = newest(state)
    out.mkdir(exist_ok=True, parents=True)
    module = importlib.import_module(f"reports.{name}")
    with open_night(state, run_id) as night:
        if hasattr(module, "Config"):
            found: list[Path] = module.write(night, out, module.Config(**settings))
        else:
            found = module.write(night, out)
    return found


def in_a_file(finding: Finding) -> Finding:
    """Give every third finding the lines of a workflow, and one of them a name that wants to be a link."""
    if finding.rule != "workflow-write-all":
        return finding
    return msgspec.structs.replace(
        finding,
        evidence={"lines": ".github/workflows/a b.yml:7, .github/workflows/deploy.yml:12"},
        detail=f"{finding.detail} [click](https://evil.example)",
    )


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night") / "state"
    write_night(folder, count=90, alter=in_a_file)
    return folder


@pytest.fixture(scope="module")
def statuses(state: Path) -> dict[str, list[str]]:
    """The ids of the night's findings by status, read from the analysis."""
    run_id = newest(state)
    found: dict[str, list[str]] = {}
    with open_night(state, run_id) as night:
        for status, uid in night.rows("SELECT status, id FROM findings ORDER BY id"):
            found.setdefault(status, []).append(uid)
    assert {"new", "open", "reopened", "resolved", "unobserved", "excepted"} <= set(found)
    return found


def documents(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def every_problem(name: str, paths: list[Path]) -> list[str]:
    found: list[str] = []
    for path in paths:
        match name:
            case "sarif":
                found += problems(published("sarif-2.1.0"), json.loads(path.read_bytes()))
            case "ocsf":
                found += [problem for event in documents(path) for problem in ocsf_problems(event)]
            case "oscal":
                schema = "assessment-results" if "assessment" in path.name else "poam"
                found += problems(published(f"oscal-1.2.1-{schema}"), json.loads(path.read_bytes()))
            case "opengraph":
                found += opengraph_problems(json.loads(path.read_bytes()))
            case "junit":
                found += junit_problems(ET.parse(path).getroot())
    return found


@pytest.mark.parametrize("name", EXPORTS)
def test_it_is_a_report_that_the_published_schema_accepts(name: str, state: Path, tmp_path: Path) -> None:
    assert name in report_names()
    paths = export(name, state, tmp_path / "a")
    assert every_problem(name, paths) == []
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
    again = export(name, state, tmp_path / "b")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("name", EXPORTS)
def test_an_empty_night_is_accepted_as_well(name: str, tmp_path: Path) -> None:
    write_night(tmp_path / "state", count=0, empty=True)
    assert every_problem(name, export(name, tmp_path / "state", tmp_path / "out")) == []


@pytest.mark.parametrize("name", EXPORTS)
def test_the_demo_is_accepted_and_no_secret_is_in_it(name: str, demo: Demo, tmp_path: Path) -> None:
    paths = export(name, demo.folder, tmp_path)
    assert every_problem(name, paths) == []
    text = b"".join(path.read_bytes() for path in paths)
    assert [secret for secret in demo.secrets if len(secret) > 8 and secret.encode() in text] == []
    assert b"lantern-legacy" in text, "the account that could not be read is named"
    assert not re.search(rb'"fingerprint":"[0-9a-f]{16,}"', text), "no hash of a secret's value"


def test_the_schemas_refuse_what_is_wrong(state: Path, tmp_path: Path) -> None:
    """The vendored schemas would notice: each of these has one fault."""
    sarif = json.loads(export("sarif", state, tmp_path)[0].read_bytes())
    sarif["runs"][0]["results"][0]["level"] = "high"
    assert problems(published("sarif-2.1.0"), sarif)
    event = next(one for one in documents(export("ocsf", state, tmp_path)[0]) if one["class_uid"] == 2007)
    assert ocsf_problems(event) == []
    assert ocsf_problems(event | {"severity_id": 7})
    assert ocsf_problems(event | {"owner": "a"})
    assert ocsf_problems(event | {"type_uid": 200700})
    assert ocsf_problems({key: value for key, value in event.items() if key != "remediation"})
    plan = json.loads(next(path for path in export("oscal", state, tmp_path) if "poam" in path.name).read_bytes())  # fmt: skip
    plan["plan-of-action-and-milestones"]["poam-items"] = []
    assert problems(published("oscal-1.2.1-poam"), plan)
    results = json.loads(export("oscal", state, tmp_path)[0].read_bytes())
    controls = results["assessment-results"]["results"][0]["reviewed-controls"]["control-selections"][0]
    controls["include-controls"] = [{"control-id": "AC-6(5)"}]
    assert problems(published("oscal-1.2.1-assessment-results"), results)
    graph = json.loads(export("opengraph", state, tmp_path)[0].read_bytes())
    graph["graph"]["nodes"][0]["properties"]["owner"] = None
    assert opengraph_problems(graph)


def sarif_results(path: Path) -> dict[str, dict[str, Any]]:
    document = json.loads(path.read_bytes())
    return {one["properties"]["findingId"]: one for run in document["runs"] for one in run["results"]}


def test_sarif_lacks_only_what_is_resolved(
    state: Path, statuses: dict[str, list[str]], tmp_path: Path
) -> None:
    """An importer closes the alerts whose results are missing."""
    results = sarif_results(export("sarif", state, tmp_path)[0])
    expected = {uid for status, found in statuses.items() for uid in found if status != "resolved"}
    assert set(results) == expected
    for uid in statuses["unobserved"]:
        assert results[uid]["message"]["text"].startswith("Not observed in this run (")
        assert results[uid]["baselineState"] == "unchanged"
    for uid in statuses["excepted"]:
        assert results[uid]["suppressions"][0]["status"] == "accepted"
    assert all("suppressions" not in results[uid] for uid in statuses["open"])
    assert {results[uid]["baselineState"] for uid in [*statuses["new"], *statuses["reopened"]]} == {"new"}
    without = sarif_results(export("sarif", state, tmp_path / "without", excepted=False)[0])
    assert set(without) == expected - set(statuses["excepted"])


def test_sarif_says_what_was_not_read(state: Path, demo: Demo, tmp_path: Path) -> None:
    invocation = json.loads(export("sarif", demo.folder, tmp_path)[0].read_bytes())["runs"][0]["invocations"][0]  # fmt: skip
    assert invocation["executionSuccessful"] is False, "an account was not read"
    errors = [one["message"]["text"] for one in invocation["toolExecutionNotifications"] if one["level"] == "error"]  # fmt: skip
    assert any("lantern-legacy" in text and "sts:AssumeRole" in text for text in errors)
    write_night(tmp_path / "whole", count=5, complete=True)
    run = json.loads(export("sarif", tmp_path / "whole", tmp_path / "out")[0].read_bytes())["runs"][0]
    assert run["invocations"][0]["executionSuccessful"] is True


def test_sarif_of_a_repository_has_paths_and_lines(state: Path, tmp_path: Path) -> None:
    paths = export("sarif", state, tmp_path)
    (repository,) = paths[1:]
    run = json.loads(repository.read_bytes())["runs"][0]
    assert run["results"]
    for result in run["results"]:
        (location,) = result["locations"]
        assert location["physicalLocation"]["artifactLocation"] == {"uri": ".github/workflows/a%20b.yml", "uriBaseId": "%SRCROOT%"}  # fmt: skip
        assert location["physicalLocation"]["region"] == {"startLine": 7}
        assert result["relatedLocations"][0]["physicalLocation"]["region"] == {"startLine": 12}
        assert "](" not in result["message"]["text"]
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    assert len(run["automationDetails"]["id"].split("/")) == 3


def test_sarif_fingerprints_are_of_the_finding_and_not_of_its_place(state: Path, tmp_path: Path) -> None:
    def moved(finding: Finding) -> Finding:
        return msgspec.structs.replace(in_a_file(finding), evidence={"lines": "elsewhere.yml:99"})

    write_night(tmp_path / "moved", count=90, alter=moved)
    before, after = (
        {uid: one["partialFingerprints"] for uid, one in sarif_results(export("sarif", folder, tmp_path / name)[0]).items()}
        for folder, name in ((state, "before"), (tmp_path / "moved", "after"))
    )  # fmt: skip
    assert before == after
    hashes = [one["primaryLocationLineHash"] for one in before.values()]
    assert len(set(hashes)) == len(hashes)
    assert all(re.fullmatch(r"[0-9a-f]{16}:1", one) for one in hashes)


def test_sarif_keeps_githubs_limits_and_counts_what_is_left_out(
    state: Path, statuses: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """https://docs.github.com/en/code-security/code-scanning/troubleshooting-sarif-uploads/results-exceed-limit."""
    assert (scanner.sarif.RUNS, scanner.sarif.RESULTS) == (20, 25_000)
    monkeypatch.setattr(scanner.sarif, "RUNS", 3)
    monkeypatch.setattr(scanner.sarif, "RESULTS", 10)
    path = export("sarif", state, tmp_path)[0]
    runs = json.loads(path.read_bytes())["runs"]
    assert [len(run["results"]) for run in runs] == [10, 10, 10]
    assert len({run["automationDetails"]["id"] for run in runs}) == 3
    told = [one["message"]["text"] for one in runs[-1]["invocations"][0]["toolExecutionNotifications"]]
    left_out = next(int(text.split()[0]) for text in told if "left out" in text)
    assert left_out + 30 == sum(len(found) for status, found in statuses.items() if status != "resolved")
    severities = [one["properties"]["severity"] for run in runs for one in run["results"]]
    ranks = ["critical", "high", "medium", "low", "info"]
    assert severities == sorted(severities, key=ranks.index), "the most severe are kept"
    assert problems(published("sarif-2.1.0"), json.loads(path.read_bytes())) == []


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"evidence": {"lines": "a/b.yml:3, c.yml:4"}}, [("a/b.yml", 3), ("c.yml", 4)]),
        ({"subject_kind": "ci-file", "resource": "ci/export.yml:7"}, [("ci/export.yml", 7)]),
        ({"subject_table": "identities", "location": "deploy.yml:1"}, [("deploy.yml", 1)]),
        ({"subject_kind": "lambda-env", "resource": "db.example.com:5432"}, []),
        ({"evidence": {"lines": "/etc/passwd:1"}}, []),
        ({"evidence": {"lines": "../../x.yml:1"}}, []),
        ({"evidence": {"lines": "x.yml:0"}}, []),
        ({"evidence": {"lines": "https://example.com:443"}}, []),
        ({}, []),
    ],
)
def test_a_place_is_a_line_of_a_file_of_the_repository(
    row: dict[str, Any], expected: list[tuple[str, int]]
) -> None:
    given: dict[str, Any] = {
        "evidence": {},
        "subject_table": "secrets",
        "subject_kind": None,
        "resource": None,
        "location": None,
    }
    assert places(given | row) == [FilePlace(*place) for place in expected]


def test_findings_are_listed_as_sarif(state: Path, statuses: dict[str, list[str]]) -> None:
    run_id = newest(state)
    with open_night(state, run_id) as night:
        chosen = json.loads(b"".join(find_sarif(night, FindingFilter(severities=["critical"]))))
        everything = json.loads(b"".join(find_sarif(night, FindingFilter())))
    assert {one["level"] for one in chosen["runs"][0]["results"]} == {"error"}
    found = {one["properties"]["findingId"] for one in everything["runs"][0]["results"]}
    assert set(statuses["unobserved"]) <= found
    assert not found & set(statuses["resolved"])


def test_ocsf_closes_only_what_is_resolved(
    state: Path, statuses: dict[str, list[str]], tmp_path: Path
) -> None:
    events = documents(export("ocsf", state, tmp_path)[0])
    by_id = {one["finding_info"]["uid"]: one for one in events}
    assert len(by_id) == len(events)
    closed = {uid for uid, one in by_id.items() if one["activity_id"] == 3 or one.get("status_id") == 4}
    assert closed == set(statuses["resolved"])
    for uid in statuses["unobserved"]:
        assert (by_id[uid]["activity_id"], by_id[uid]["status"]) == (2, "Not observed")
        assert "last_seen_time" not in by_id[uid]["finding_info"]
    assert {by_id[uid]["status_id"] for uid in statuses["excepted"]} == {3}
    assert all(isinstance(one["time"], int) and one["time"] > 1_700_000_000_000 for one in events)


def test_ocsf_passes_only_with_all_inputs(demo: Demo, tmp_path: Path) -> None:
    events = documents(export("ocsf", demo.folder, tmp_path)[0])
    checks = {one["finding_info"]["uid"]: one["compliance"] for one in events if one["class_uid"] == 2003}
    assert checks["coverage"]["status"] == "Unknown"
    assert "lantern-legacy" in checks["coverage"]["status_details"][0]
    assert checks["coverage/aws/aws:account:400000000004"]["status"] == "Unknown"
    run_id = newest(demo.folder)
    with open_night(demo.folder, run_id) as night:
        rows = list(night.rows("SELECT rule || '/' || account_id, status, findings FROM rule_results"))
        lost = {
            row[0]
            for row in night.rows(
                "SELECT rule || '/' || account_id FROM findings WHERE status = 'unobserved'"
            )
        }
    assert lost
    for uid, status, findings in rows:
        expected = "Fail" if findings else "Pass" if status == "evaluated" and uid not in lost else "Unknown"
        assert checks[uid]["status"] == expected, uid
    assert Counter(one["status"] for one in checks.values())["Pass"] > 100


def test_oscal_satisfies_nothing_and_keeps_what_was_not_observed(
    state: Path, statuses: dict[str, list[str]], tmp_path: Path
) -> None:
    results, plan = (json.loads(path.read_bytes()) for path in export("oscal", state, tmp_path))
    result = results["assessment-results"]["results"][0]
    assert {one["target"]["status"]["state"] for one in result["findings"]} == {"not-satisfied"}
    observations = {one["uuid"] for one in result["observations"]}
    for one in result["findings"]:
        assert {link["observation-uuid"] for link in one.get("related-observations", [])} <= observations
    assert any("was not read at all" in one["description"] or "read in part" in one["description"] for one in result["observations"])  # fmt: skip
    document = plan["plan-of-action-and-milestones"]
    items = {
        next(prop["value"] for prop in one["props"] if prop["name"] == "finding-id"): one
        for one in document["poam-items"]
    }
    assert set(items) == {uid for status, found in statuses.items() for uid in found if status != "resolved"}
    risks = {one["uuid"]: one for one in document["risks"]}
    for uid in statuses["excepted"]:
        risk = risks[items[uid]["related-risks"][0]["risk-uuid"]]
        assert risk["status"] == "deviation-approved"
    for uid in statuses["unobserved"]:
        assert items[uid]["description"].startswith("Not observed in this run")
        assert risks[items[uid]["related-risks"][0]["risk-uuid"]]["status"] == "open"


@pytest.mark.parametrize(
    ("reference", "token"),
    [
        ("NIST 800-53 r5.2.0: AC-6(5)", "ac-6.5"),
        ("NIST 800-53 r5.2.0: IA-5", "ia-5"),
        ("CIS AWS 5.0: 1.13", "cis-aws-1.13"),
        ("OWASP NHI 2025: NHI7:2025", "owasp-nhi-nhi7-2025"),
        ("ISO 27001 2022: A.8.2", "iso-27001-a.8.2"),
    ],
)
def test_oscal_control_ids_are_tokens(reference: str, token: str) -> None:
    assert importlib.import_module("reports.oscal").control_id(reference) == token


def test_the_ends_of_every_step_are_nodes(demo: Demo, tmp_path: Path) -> None:
    graph = json.loads(export("opengraph", demo.folder, tmp_path)[0].read_bytes())["graph"]
    nodes = {one["id"]: one for one in graph["nodes"]}
    assert len(nodes) == len(graph["nodes"])
    assert {edge[end]["value"] for edge in graph["edges"] for end in ("start", "end")} <= set(nodes)
    run = next(one for one in nodes.values() if one["kinds"][0] == "Sprawl_Run")["properties"]
    assert run["sprawl_complete"] is False
    assert any("lantern-legacy" in text for text in run["sprawl_uncovered"])
    dark = nodes["aws:account:400000000004"]["properties"]
    assert (dark["sprawl_coverage"], "sts:AssumeRole" in dark["sprawl_needs"]) == ("unread", True)
    lost = nodes["aws:lambda-function:arn:aws:lambda:eu-west-1:300000000003:function:fraud-score"]["properties"]  # fmt: skip
    assert (lost["sprawl_observed"], lost["sprawl_lastrun"]) == (False, "20261122T020000Z")
    run_id = newest(demo.folder)
    with open_night(demo.folder, run_id) as night:
        pairs = set(night.rows("SELECT source_id, target_id FROM edges"))
    steps = {(edge["start"]["value"], edge["end"]["value"]) for edge in graph["edges"] if "sprawl_step" in edge["properties"]}  # fmt: skip
    assert steps == pairs


def outcomes(path: Path) -> dict[tuple[str, str], ET.Element | None]:
    root = ET.parse(path).getroot()
    found = {}
    for suite in root:
        cases = [one for one in suite if one.tag == "testcase"]
        tags = Counter(one[0].tag for one in cases if len(one))
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[attribute]) == tags[tag], suite.attrib
        assert int(suite.attrib["tests"]) == len(cases)
        for one in cases:
            found[one.attrib["classname"], one.attrib["name"]] = one[0] if len(one) else None
    assert int(root.attrib["tests"]) == len(found)
    return found


def test_a_build_is_not_green_because_something_was_not_read(demo: Demo, tmp_path: Path) -> None:
    found = outcomes(export("junit", demo.folder, tmp_path)[0])
    dark = found["sprawlscan.coverage", "lantern-legacy was read (aws/aws:account:400000000004)"]
    assert dark is not None
    assert (dark.tag, "sts:AssumeRole" in dark.attrib["message"]) == ("error", True)
    lost = found["sprawlscan.aws:account:300000000003", "credential-shared"]
    assert lost is not None
    assert (lost.tag, "not observed" in lost.attrib["message"]) == ("failure", True)
    run_id = newest(demo.folder)
    with open_night(demo.folder, run_id) as night:
        rows = list(night.rows("SELECT account_id, rule, status, findings FROM rule_results"))
    for account, rule, status, findings in rows:
        outcome = found[f"sprawlscan.{account or 'estate'}", rule]
        if outcome is None:
            assert (status, findings) == ("evaluated", 0), (account, rule)


def test_a_build_lists_findings_as_text(tmp_path: Path) -> None:
    def odd(finding: Finding) -> Finding:
        return msgspec.structs.replace(finding, account_id=PROD, detail='<b>"x" & \x00\x1b[31m</b>')

    write_night(tmp_path / "state", count=90, alter=odd)
    path = export("junit", tmp_path / "state", tmp_path / "out")[0]
    failures = list(ET.parse(path).getroot().iter("failure"))
    assert failures
    assert all("<b>" in (one.text or "") for one in failures)
