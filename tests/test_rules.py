"""Every example of every rule, the conventions over all rules, and the messages for invalid rule files."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from scanner.analyze.framework import load_frameworks, references
from scanner.analyze.rule_check import check_rule
from scanner.analyze.rule_files import RuleError, choose, load_rules
from scanner.document import DocumentError
from scanner.rule_texts import CitedControl

if TYPE_CHECKING:
    from scanner.analyze.rule import Rule

RULES = load_rules()
README = Path(__file__).parents[1] / "README.md"

GOOD = """\
title: Credential older than {days} days
severity: low
category: stale
why: It is old. It should go.
fix: Rotate it. Then delete it.
params: {days: 90}
needs: [credentials]
subject: credentials
query: |
  SELECT id AS subject, 'made on ' || created_at AS detail, native_id FROM credentials
  WHERE created_at < $as_of - to_days($days)
examples:
  - given: {credentials: [{id: old, created_at: -91d}, {id: young, created_at: -89d}, {id: unknown}]}
    finds: [old]
"""


def custom(tmp_path: Path, text: str, name: str = "own-rule") -> Path:
    folder = tmp_path / "rules"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def own_rule(tmp_path: Path, text: str) -> Rule:
    return next(rule for rule in load_rules(custom(tmp_path, text)) if rule.custom)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_examples_and_conventions(rule: Rule) -> None:
    assert check_rule(rule) == []


def test_every_rule_gives_evidence_for_some_control() -> None:
    frameworks = load_frameworks(RULES)
    mapped = references(frameworks)
    assert [rule.id for rule in RULES if rule.id not in mapped] == []


def test_references_name_the_version_and_can_be_chosen() -> None:
    frameworks = load_frameworks()
    cited = references(frameworks, ["cis-aws", "cis-aws-5"])["credential-unused"]["aws"]
    assert [str(one) for one in cited] == ["CIS AWS 5.0: 1.11", "CIS AWS 7.0.0: 2.11"]
    assert references(frameworks, ["owasp-nhi"])["credential-unused"] == {
        "": [CitedControl(framework="OWASP NHI 2025", code="NHI1:2025", relation="counter")]
    }


def test_a_custom_rule_is_loaded_and_tested_like_our_own(tmp_path: Path) -> None:
    rule = own_rule(tmp_path, GOOD)
    assert rule.title == "Credential older than 90 days"
    assert check_rule(rule) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("severity: low", "severty: low"), "own-rule.yaml:2:1: severty: unknown key; did you mean `severity`?"),
        (("severity: low", "severity: bad"), "own-rule.yaml:2:1: severity: `bad` is not a valid value; "),
        (("severity: low", "severity: hihg"), "did you mean `high`"),
        (("subject: credentials", "subject: credential"), "own-rule.yaml:8:1: subject: no such table; did you mean `credentials`?"),
        (("needs: [credentials]", "needs: [credential]"), "own-rule.yaml:7:9: needs[0]: did you mean `credentials`?"),
        (("created_at: -91d", "made_at: -91d"), "examples[0].given.credentials[0].made_at: unknown key"),
        (("finds: [old]", "find: [old]"), "examples[0].find: unknown key; did you mean `finds`?"),
        (("{days} days", "{day} days"), "title: {day} is not a parameter; did you mean `days`?"),
        (("params: {days: 90}", "params: {days: 90, days: 80}"), "own-rule.yaml:6:20: params.days: duplicate key"),
        (("why: It is old. It should go.\n", ""), "Object missing required field `why`"),
        (("title:", "title: ["), "not valid YAML"),
    ],
)  # fmt: skip
def test_a_wrong_rule_file_is_reported_where_and_what(
    tmp_path: Path, change: tuple[str, str], problem: str
) -> None:
    with pytest.raises(RuleError, match="own-rule") as caught:
        load_rules(custom(tmp_path, GOOD.replace(change[0], change[1], 1)))
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("finds: [old]", "finds: [young]"), "example 1: finds ['old'], not ['young']"),
        (("created_at < $as_of", "created_at < now()::TIMESTAMP"), "query must not use `now`"),
        (("created_at < $as_of", 'created_at < "now"()::TIMESTAMP'), "query must not use `now`"),
        (("created_at < $as_of", "created_at < now /* x */ ()::TIMESTAMP"), "query must not use `now`"),
        (("created_at < $as_of", "e'\\'' <> '' AND created_at < now()::TIMESTAMP AND '' = ''"), "query must not use `now`"),
        (("created_at < $as_of", "$$'$$ <> '' AND created_at < now()::TIMESTAMP AND '' = ''"), "query must not use `now`"),
        (("FROM credentials", "FROM credentials, read_csv('/etc/passwd')"), "query must not use `read_csv`"),
        (("SELECT id AS subject", "SELECT 1; SELECT id AS subject"), "query must be exactly one SELECT"),
        (("SELECT id AS subject", "SELECT nothing AS subject"), "query is refused: Binder Error"),
        (("id AS subject", "id AS subjekt"), "query gives no column `subject`"),
        (("to_days($days)", "to_days(90)"), None),
        (("native_id FROM", "date_diff('day', created_at, $as_of) AS age_days FROM"), "old: evidence changes every night"),
        (("'made on ' || created_at", "'made on ' || expires_at"), "old: detail is NULL"),
        (("id AS subject", "'x' AS subject"), "subject x is not an id of the credentials given"),
        (("{id: unknown}", "{id: other}"), "no example shows what is unknown"),
        ((", {id: young, created_at: -89d}, {id: unknown}", ""), "no example gives a row of credentials that is not found"),
        (("needs: [credentials]", "needs: [identities]"), "needs does not name `credentials`"),
        (("why: It is old. It should go.", "why: It is old."), "why has 1 sentence;"),
        (("title: Credential", "title: " + "Credential " * 8), "title has 1"),
        (("created_at: -91d", "created_at: last year"), "'last year' is not a time"),
        (("{id: old,", "{id: old, lifetime: forever,"), "credentials[0]: Invalid enum value 'forever'"),
    ],
)  # fmt: skip
def test_a_wrong_rule_fails_its_test(tmp_path: Path, change: tuple[str, str], problem: str | None) -> None:
    text = GOOD.replace(change[0], change[1], 1)
    assert text != GOOD
    found = "\n".join(check_rule(own_rule(tmp_path, text)))
    if problem is None:
        assert found == ""  # the title still uses the parameter
    else:
        assert problem in found


def test_needs_are_compared_with_what_the_macro_reads(tmp_path: Path) -> None:
    rule = next(rule for rule in RULES if rule.id == "secrets-inherit")
    assert check_rule(rule) == []
    problems = check_rule(msgspec.structs.replace(rule, needs=["identities"]))
    assert problems == [
        "the query reads `weaknesses`, which needs does not name: without it the rule's silence would prove nothing"
    ]


def test_an_unused_parameter_is_reported(tmp_path: Path) -> None:
    rule = own_rule(tmp_path, GOOD.replace("{days: 90}", "{days: 90, hours: 3}"))
    assert check_rule(rule) == ["parameter `hours` is used neither in the query nor in the title"]


def test_a_custom_rule_cannot_replace_a_built_in_one(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="a built-in rule has this name"):
        load_rules(custom(tmp_path, GOOD, "trust-open"))


def test_thresholds_are_configured_by_name_and_kind(tmp_path: Path) -> None:
    rules = load_rules(custom(tmp_path, GOOD))
    chosen = {rule.id: rule for rule in choose(rules, {"own-rule": {"days": 7}}, ["trust-open"])}
    assert chosen["own-rule"].title == "Credential older than 7 days"
    assert "trust-open" not in chosen
    before = next(rule for rule in rules if rule.custom).version
    assert chosen["own-rule"].version != before
    with pytest.raises(RuleError) as caught:
        choose(rules, {"own-rul": {}, "own-rule": {"day": 7, "days": "x"}}, ["trust-opn"])
    assert caught.value.problems == [
        "rules.params: no rule `own-rul`; did you mean `own-rule`?",
        "rules.disabled: no rule `trust-opn`; did you mean `trust-open`?",
        "rules.params.own-rule.day: no such parameter; did you mean `days`?",
        "rules.params.own-rule.days: must have the type of 90, not 'x'",
    ]


def test_a_mapping_to_no_rule_is_reported() -> None:
    with pytest.raises(DocumentError, match="no rule `credential-unused`"):
        load_frameworks([rule for rule in RULES if rule.id == "trust-open"])


MAPPING = """
title: A framework of the tests
short: Tests
version: "1"
license: none
source: here
url: https://example.org
providers: [aws, definitions]
not_claimed: [Anything.]
controls:
  "1":
    title: Keys end
    rules: {credential-unused: full, trust-open: counter}
    at_most: {credential-unused: 45}
    tables: [credentials]
  "2": {title: Nothing}
  "3": {title: Two, rules: {trust-open: partial, credential-unused: full}}
"""


@pytest.fixture
def mapping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of frameworks with one file in the place of ours."""
    monkeypatch.setattr("scanner.analyze.framework.FRAMEWORKS", tmp_path)
    (tmp_path / "tests.yaml").write_text(MAPPING)
    return tmp_path / "tests.yaml"


@pytest.mark.usefixtures("mapping")
def test_a_mapping_says_what_silence_proves_and_for_whose_findings(tmp_path: Path) -> None:
    (framework,) = load_frameworks(RULES)
    assert {code: control.silence_proves for code, control in framework.controls.items()} == {
        "1": "partial",
        "2": "none",
        "3": "partial",
    }
    cited = references([framework])["credential-unused"]
    assert {provider: [str(one) for one in controls] for provider, controls in cited.items()} == {
        provider: ["Tests 1: 1", "Tests 1: 3"] for provider in ("aws", "definitions")
    }


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            ("credential-unused: full, trust", "credential-unusd: full, trust"),
            "no rule `credential-unusd`; did you mean",
        ),
        (("{credential-unused: 45}", "{credential-old: 45}"), "is no rule of this control"),
        (("{credential-unused: 45}", "{trust-open: 45}"), "has no threshold `days`"),
        (("[credentials]", "[credential]"), "no table `credential`; did you mean `credentials`"),
        (("full, trust-open: counter", "wholly, trust-open: counter"), "Invalid enum value 'wholly'"),
        (("license: none\n", ""), "license"),
    ],
)
def test_a_mapping_that_claims_what_it_cannot_is_refused(
    mapping: Path, change: tuple[str, str], problem: str
) -> None:
    text = MAPPING.replace(*change, 1)
    assert text != MAPPING
    mapping.write_text(text)
    with pytest.raises(DocumentError, match=problem):
        load_frameworks(RULES)


def test_our_mappings_hold_the_thresholds_that_their_controls_name() -> None:
    rules = {rule.id: rule for rule in RULES}
    for framework in load_frameworks(RULES):
        assert framework.not_claimed
        for code, control in framework.controls.items():
            for name, most in control.at_most.items():
                days = rules[name].params["days"]
                assert isinstance(days, int)
                # Safeguard 5.3 asks for 45 days, and a person's absence is a finding after 90: no evidence by default.
                if (framework.id, code, name) != ("cis-controls", "5.3", "identity-unused"):
                    assert days <= most, f"{framework.id} {code}: {name} asks for {days} days by default"


_ANNEX_A = {5: 37, 6: 8, 7: 14, 8: 34}
"""The controls of each clause of ISO/IEC 27001:2022 Annex A, 93 in all."""


@pytest.mark.parametrize(
    ("framework", "form"),
    [
        ("iso-27001", r"A\.[5-8]\.\d{1,2}"),
        ("soc2", r"(CC[1-9]|A1|C1|PI1|P[1-8])\.\d"),
        ("pci-dss", r"\d{1,2}(\.\d{1,2}){2,3}"),
        # Version 2.0 has two digits after a dash; PR.AC-1 is of version 1.1.
        ("nist-csf", r"(GV\.(OC|RM|RR|PO|OV|SC)|ID\.(AM|RA|IM)|PR\.(AA|AT|DS|PS|IR)|DE\.(CM|AE)|RS\.(MA|AN|CO|MI)|RC\.(RP|CO))-\d\d"),
        ("nist-800-53", r"[A-Z]{2}-\d{1,2}(\(\d{1,2}\))?"),
        ("nist-ssdf", r"(PO\.[1-5]|PS\.[1-3]|PW\.(1|2|4|5|6|7|8|9)|RV\.[1-3])\.\d"),
        ("csa-ccm", r"(A&A|AIS|BCR|CCC|CEK|DCS|DSP|GRC|HRS|IAM|IPY|IVS|LOG|SEF|STA|TVM|UEM)-\d\d"),
        ("cis-controls", r"(1[0-8]|[1-9])\.\d{1,2}"),
        ("nis2-ir", r"(1[0-3]|[1-9])\.\d{1,2}(\.\d)?"),
        ("dora-rts", r"\d{1,2}\.(\d|[a-h])"),
        ("slsa", r"(Source L[1-4]|Build L[1-3])"),
        ("s2c2f", r"(ING|SCA|INV|UPD|AUD|ENF|REB|FIX)-\d"),
        ("osps", r"OSPS-(AC|BR|DO|GV|LE|QA|SA|VM)-\d\d\.\d\d"),
        ("ms-zt-devsecops", r"DS_\d{3}"),
        ("mitre-attack", r"T\d{4}(\.\d{3})?"),
        ("cisa-cpg", r"[1-6]\.[A-Z]"),
        ("cis-github", r"[1-5]\.\d\.\d{1,2}"),
        ("cis-gitlab", r"[1-5]\.\d\.\d{1,2}"),
        ("cis-kubernetes", r"5\.\d\.\d{1,2}"),
        ("cis-gcp", r"[1-8]\.\d{1,2}"),
        ("owasp-nhi", r"NHI(10|[1-9]):2025"),
        ("owasp-cicd", r"CICD-SEC-(10|[1-9])"),
    ],
)  # fmt: skip
def test_control_ids_have_the_form_of_their_framework(framework: str, form: str) -> None:
    (found,) = (one for one in load_frameworks(RULES) if one.id == framework)
    assert [code for code in found.controls if not re.fullmatch(form, code)] == []
    if framework == "iso-27001":
        places = [code.split(".")[1:] for code in found.controls]
        assert all(1 <= int(number) <= _ANNEX_A[int(clause)] for clause, number in places)


def test_no_mapping_says_that_a_control_is_met() -> None:
    """A finding is evidence; only an assessor can say more."""
    verdict = re.compile(r"\b(compliant|complies|certified|satisf\w+|covered|effective(?!ly)|score|passed)\b", re.IGNORECASE)  # fmt: skip
    for framework in load_frameworks(RULES):
        for code, control in framework.controls.items():
            assert not verdict.search(f"{control.title} {control.note or ''}"), (framework.id, code)
            assert control.rules or control.tables, (framework.id, code)


def test_risk_lists_and_levels_are_never_passed() -> None:
    """ATT&CK and the OWASP lists name risks, and a level of SLSA is proved by attestations."""
    for framework in load_frameworks(RULES):
        if framework.id in ("mitre-attack", "owasp-nhi", "owasp-cicd", "slsa"):
            assert {control.silence_proves for control in framework.controls.values()} == {"none"}


def test_silence_of_detectors_is_never_evidence() -> None:
    """That no secret and no vulnerable action was found does not show that there is none."""
    for framework in load_frameworks(RULES):
        for code, control in framework.controls.items():
            for rule in ("hard-coded-secret", "variable-holds-secret", "secret-in-environment", "actions-known-vulnerable"):  # fmt: skip
                assert control.rules.get(rule, "counter") == "counter", (framework.id, code, rule)


def test_the_rule_of_the_readme_passes_its_own_test(tmp_path: Path) -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    start = lines.index("    title: Credential older than {days} days")
    block = itertools.takewhile(lambda line: line.startswith("    "), lines[start:])
    text = "\n".join(line[4:] for line in block)
    (rule,) = [rule for rule in load_rules(custom(tmp_path, text)) if rule.id == "own-rule"]
    assert check_rule(rule) == []
