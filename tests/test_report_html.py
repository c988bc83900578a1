"""The HTML report as text: what it says, that it says coverage first, and that no name can break out of it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.html import Config, render, write
from reports.html.findings import FIELDS, SENTENCES, embed_findings
from reports.html.links import web_address
from scanner.analyze.framework_results import read_frameworks
from scanner.night import open_night
from scanner.rule_texts import rules_in_force
from scanner.safe_text import plain
from tests.sealed_night import account, analyzed, denied, everything, key, role, run_of
from tests.synthetic_night import AS_OF, NAMES, PATTERNS, PROD, finding, write_night

if TYPE_CHECKING:
    from pathlib import Path

    from scanner.findings import Finding
    from scanner.records import Record

ORDER = (
    "verdict", "delivery", "since", "first", "owners", "findings", "inventory", "coverage", "questions", "metrics", "trend",
    "matrix", "frameworks", "exceptions", "method", "glossary",
)  # fmt: skip


class Read(HTMLParser):
    """The document as a reader without JavaScript and without CSS has it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.code: dict[str, list[str]] = {"script": [], "style": []}
        self._inside = ""
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.code:
            self._inside = tag
            self.code[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.code[self._inside][-1] += data
        else:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def report(state: Path, **options: Any) -> str:
    run_id = write_night(state, **options)
    with open_night(state, run_id) as night:
        return render(night, Config())


def test_same_night_same_bytes_in_a_private_file(tmp_path: Path) -> None:
    run_id = write_night(tmp_path)
    for folder in ("a", "b"):
        with open_night(tmp_path, run_id) as night:
            (path,) = write(night, tmp_path / folder, Config())
        assert path.name == "report.html"
        assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a/report.html").read_bytes() == (tmp_path / "b/report.html").read_bytes()


def test_sections_stand_in_reading_order_and_coverage_comes_first(tmp_path: Path) -> None:
    read = Read(report(tmp_path))
    assert [section["id"] for section in read.all("section")] == list(ORDER)
    text = read.text
    coverage = text.index("Coverage is incomplete")
    assert "Coverage 78.9%: 15 of 19 listings complete; accounts: 1 complete, 3 partial, 0 unread." in text
    assert text.index("3 of 5 pipelines can do more") < coverage < text.index("Each row compares the powers")


def test_all_that_a_reviewer_must_know_is_there_without_javascript_and_css(tmp_path: Path) -> None:
    text = Read(report(tmp_path)).text
    for words in (
        "3 of 5 pipelines can do more than the workload they deploy",
        "Because three hold broad policies (AdministratorAccess): access that was granted once and never cut back to what deploying needs. At least four changes end it.",
        "2 changes end this excess; the first ends Assume others",
        "4 earlier findings could not be checked in this run and count as neither open nor resolved.",
        "Confirmed by run 20261123T020000Z",
        "Compared with run 20261122T020000Z",
        "Replace AdministratorAccess on terraform-ledger with the 14 services that it used",
        "at least; some inputs were not readable",
        "? not comparable",
        "When should that access end?",
        "organizations:ListPoliciesForTarget was denied",
        "github: Personal access tokens (organization): read",
        "not evaluated",
        "approved by m.okafor@lanternpay.example",
        "The facts it accepted changed: the role gained a second trust.",
        "1 exception expires within 14 days",
        "sha256sum --check",
        "Whoever holds this can act without anybody noticing.",
    ):
        assert words in text
    assert text.count("Any GitHub repository can become this role") >= 3


def test_accounts_of_which_nothing_was_read_are_named(tmp_path: Path) -> None:
    gap = denied("*", call="sts:AssumeRole")
    read = [msgspec.structs.replace(row, target="2") for row in everything("aws:account:2")]
    analyzed(tmp_path, 1, [account(name="lantern-legacy"), gap], [account(2), *read])
    with open_night(tmp_path, run_of(1)) as night:
        text = Read(render(night, Config())).text
    assert "Nothing could be read from 1 account: lantern-legacy (aws 1)." in text
    # What rules lacked there is said by that already.
    assert "could not be evaluated" not in text


def test_what_came_and_went_is_counted(tmp_path: Path) -> None:
    analyzed(tmp_path, 1, [account(), role("deploy"), *everything(), key("A")])
    analyzed(tmp_path, 2, [account(), role("deploy"), *everything(), key("B"), key("C")])
    with open_night(tmp_path, run_of(2)) as night:
        text = Read(render(night, Config())).text
    assert "Inventory: 0 identities added, 0 removed; 2 credentials added, 1 removed." in text


def test_a_path_is_drawn_and_listed_with_its_cut(tmp_path: Path) -> None:
    html = report(tmp_path)
    pictures = re.findall(r'<svg class="chainpic".*?</svg>', html, re.DOTALL)
    assert len(pictures) == 3
    assert all("cutdot" in picture and "Cut here" in picture for picture in pictures)
    assert "Cut here: change 1 of 2, which ends 1 of 2 excess powers" in pictures[1]
    text = Read(html).text
    listed = "Token repo:lanternpay/payments-api:x OIDC federation IAM role deploy-payments-api ✕ Cut here: deploy-payments-api: Replace"
    assert listed in text


def test_findings_of_other_providers_are_no_evidence_for_a_benchmark_of_one(tmp_path: Path) -> None:
    place = "github:org:1"
    theirs: list[Record] = [
        msgspec.structs.replace(record, provider="github")
        for record in (key("B", account_id=place), *everything(place))
    ]
    analyzed(tmp_path, 1, [account(), role("deploy"), *everything(), key("A"), *theirs])
    with open_night(tmp_path, run_of(1)) as night:
        found = read_frameworks(night, rules_in_force(night))
    counted = {one.label: {control.code: control.findings for control in one.controls} for one in found}
    assert counted["CIS AWS 7.0.0"]["2.11"] == 1
    assert counted["OWASP NHI 2025"]["NHI1:2025"] == 2


def test_no_owner_is_a_row_of_its_own_before_all_others(tmp_path: Path) -> None:
    html = report(tmp_path)
    owners = Read(html[html.index('<section id="owners"') : html.index('<section id="findings"')]).text
    assert owners.index("No owner") < owners.index("team-payments")


def test_first_night_says_that_there_is_no_baseline(tmp_path: Path) -> None:
    text = Read(report(tmp_path, first=True)).text
    assert "This is the first run, so every finding counts as new." in text
    assert "none (first run)" in text
    assert "Confirmed by run" not in text


def test_a_complete_night_without_findings_claims_no_more_than_it_saw(tmp_path: Path) -> None:
    text = Read(report(tmp_path, count=0, complete=True)).text
    assert "Coverage is complete" in text
    assert "No open findings in the data collected." in text
    for boast in ("all clear", "secure", "no risk"):
        assert boast not in text.lower().replace("insecure", "").replace("security", "")


def test_a_night_that_saw_nothing_proves_nothing(tmp_path: Path) -> None:
    text = Read(report(tmp_path, empty=True)).text
    assert "Nothing was read" in text
    assert "it is unknown whether anything is wrong" in text
    assert "No open findings" not in text
    assert "Coverage is complete" not in text
    # Not five zeros.
    assert re.search(r"critical \? unknown .*info \? unknown", text)
    assert "No provider was scanned, so this report proves nothing." in text
    assert "No rule was evaluated." in text


def test_policy_allows_this_style_and_this_script_and_nothing_else(tmp_path: Path) -> None:
    html = report(tmp_path)
    read = Read(html)
    (policy,) = [
        meta["content"] or ""
        for meta in read.all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    style, script = read.code["style"], read.code["script"]
    assert len(style) == 1
    assert [attrs.get("type") for attrs in read.all("script")] == ["text/plain", None]
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script[1], style[0])
    ]
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert html.index("Content-Security-Policy") < html.index("<style>")


def outward(read: Read) -> list[str]:
    """Return what could load, run or style something from outside the hashed texts."""
    found = []
    for tag, attrs in read.tags:
        for name, value in attrs.items():
            if name.startswith("on") or name in (
                "style",
                "src",
                "srcset",
                "action",
                "background",
                "formaction",
                "srcdoc",
            ):
                found.append(f"{tag} {name}={value}")
            if name in ("href", "xlink:href") and not re.match(r"#|data:,$|https?://", value or ""):
                found.append(f"{tag} {name}={value}")
            if (
                name == "href"
                and (value or "").startswith("http")
                and attrs.get("rel") != "noopener noreferrer"
            ):
                found.append(f"{tag} without rel: {value}")
        if tag in ("iframe", "object", "embed", "img", "base", "frame", "audio", "video"):
            found.append(tag)
    return found


def test_nothing_in_the_file_points_outside(tmp_path: Path) -> None:
    read = Read(report(tmp_path))
    assert outward(read) == []
    assert any((link.get("href") or "").startswith("https://console.aws") for link in read.all("a"))


HOSTILE = (
    "</script><script>alert(1)</script>",
    "</title><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x=\'',
    "safe\u202egnp.exe\u2066",
    "zero\u200bwidth\x00\x1b[31m",
    "A" * 10_000,
    "{{ 7 * 7 }}{% raw %}",
    "<!--<script>",
    "line\u2028break\r\nsecond",
)


def _hostile(text: str) -> Any:
    def alter(item: Finding) -> Finding:
        return msgspec.structs.replace(
            item, subject=text + item.subject, subject_name=text, identity_name=text, account_name=text, owner=text,
            detail=f"{text} is at fault", fix=f"remove {text}", blast=text, path=[text, text], evidence={text: text},
            environment=text, title=text, resource=text, subject_kind=text, exception_id=text,
            url=f"javascript:alert('{text}')",
        )  # fmt: skip

    return alter


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:16]))
def test_names_cannot_break_out(tmp_path: Path, text: str) -> None:
    html = report(tmp_path, alter=_hostile(text))
    read = Read(html)
    assert outward(read) == []
    assert len(read.all("script")) == 2
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\x00\x1b\u2028]", html)
    data = unpacked(read.code["script"][0])
    assert not re.search(
        "[\u202a-\u202e\u2066-\u2069\u200b\x00\x1b\u2028]", json.dumps(data, ensure_ascii=False)
    )
    assert data["F"]["url"]["v"] == [None]
    assert len(html) < 600_000
    assert " ".join(plain(text, 200).split()) in read.text


def test_names_in_records_cannot_break_out_either(tmp_path: Path) -> None:
    text = " ".join(HOSTILE)
    account = NAMES[PROD]
    NAMES[PROD] = text
    try:
        html = report(tmp_path)
    finally:
        NAMES[PROD] = account
    assert outward(Read(html)) == []
    assert len(Read(html).all("script")) == 2


def unpacked(text: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(text)))
    return data


def cells(data: dict[str, Any], name: str) -> list[str | None]:
    """Read a column as the page's script does."""

    def raw(column: str) -> list[str | None]:
        values: list[str | None] = data[column]["v"]
        index = data[column].get("i")
        return values if index is None else [values[at] for at in index]

    names = [raw("name"), raw("iname"), raw("account")]
    if name not in SENTENCES:
        return raw(name)
    found = raw(name)
    for mark, values in enumerate(names, start=1):
        found = [
            text and text.replace(chr(mark), str(value)) for text, value in zip(found, values, strict=True)
        ]
    return found


def test_the_page_gives_back_every_finding(tmp_path: Path) -> None:
    run_id = write_night(tmp_path, count=500)
    with open_night(tmp_path, run_id) as night:
        found = embed_findings(night)
        rows = list(night.dicts("SELECT * FROM findings ORDER BY rank DESC, id"))
    data = found.columns
    assert found.shown == len(rows) == 500
    for name, column in FIELDS.items():
        if name in ("id", "status", "subject", "name", "detail", "fix", "blast", "url", "owner", "account"):
            field = {"account": "account_name"}.get(name, column)
            assert cells(data, name) == [row[field] for row in rows]
    assert cells(data, "path") == ["\n".join(row["path"]) for row in rows]
    assert cells(data, "due") == [row["due_at"] and f"{row['due_at']:%Y-%m-%d}" for row in rows]
    assert cells(data, "evidence")[0] == "created_at\t2025-03-21\nlast_used_service\ts3"
    assert "i" in data["rule"]
    assert "i" not in data["id"]


def test_the_page_holds_what_is_urgent_when_there_is_too_much(tmp_path: Path) -> None:
    run_id = write_night(tmp_path, count=500)
    with open_night(tmp_path, run_id) as night:
        found = embed_findings(night, most=400)
        few = embed_findings(night, most=20)
    data = found.columns
    assert found.total == 500
    assert found.shown == len(cells(data, "id")) < 400
    for severity, status in zip(cells(data, "severity"), cells(data, "status"), strict=True):
        assert status in ("new", "reopened") or (status == "open" and severity in ("critical", "high"))
    assert (few.shown, few.total) == (20, 500)


def test_the_page_says_that_it_does_not_show_all(tmp_path: Path) -> None:
    run_id = write_night(tmp_path, count=500)
    with open_night(tmp_path, run_id) as night:
        text = Read(render(night, Config(), most=400)).text
    assert re.search(r"Showing \d+ of 500 ?: .* findings.csv has all of them\.", text)


def test_fixed_overhead_is_within_its_budget(tmp_path: Path) -> None:
    assert len(report(tmp_path, empty=True).encode()) <= 120_000


def test_every_pattern_of_the_made_up_night_is_a_finding_with_unique_ids() -> None:
    ids = [finding(number, PATTERNS[number % len(PATTERNS)], "open", AS_OF).id for number in range(5000)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("payments-api", "payments-api"),
        ("zahlungs-dienst-ä-日本", "zahlungs-dienst-ä-日本"),
        ("a\u202eb", "a‹U+202E›b"),
        ("tab\there\nnow", "tab here now"),
        ("x\x00", "x‹U+0000›"),
        ("B" * 300, "B" * 200 + "… (300 characters)"),
    ],
)
def test_plain(given_text: str, shown: str) -> None:
    assert plain(given_text, 200) == shown


@given(st.text(max_size=400))
def test_plain_leaves_nothing_that_reorders_or_hides(text: str) -> None:
    assert plain(text, 100).replace("\u3000", "").isprintable() or any(
        character.isspace() for character in text
    )
    assert len(plain(text, 100)) <= 100 * 12 + 30


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://github.com/lanternpay/web", True),
        ("http://gitlab.internal:8080/x?y=1#z", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt:alert(1)", False),
        ("data:text/html,<script>", False),
        ("//evil.example/x", False),
        ("https://", False),
        ("https://a\u202eb.example/", False),
        (" https://spaces.example/a b", False),
        ("https://[broken", False),
        ("https://long.example/" + "a" * 3000, False),
        (None, False),
    ],
)
def test_only_web_addresses_become_links(address: str | None, kept: bool) -> None:
    assert web_address(address) == (address if kept else None)


def test_identities_without_known_use_are_said(tmp_path: Path) -> None:
    run_id = write_night(tmp_path)
    with open_night(tmp_path, run_id) as night:
        unknown = night.one(
            "SELECT count(*) FROM identities WHERE last_used_at IS NULL AND never_used IS NOT true"
        )
        text = Read(render(night, Config())).text
    assert unknown > 0
    assert f"Last use unknown for {unknown}." in text
