"""The HTML report in a real browser: it works from a file, without network, by keyboard, and for everyone."""

from __future__ import annotations

import csv
import io
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from reports.html import Config, write
from scanner.analyze.exceptions import read_exceptions
from scanner.night import open_night
from tests.synthetic_night import AS_OF, write_night

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.findings import Finding

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="session")
def axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def make(folder: Path, **options: Any) -> str:
    run_id = write_night(folder, **options)
    with open_night(folder, run_id) as night:
        (path,) = write(night, folder / "reports", Config())
    return path.as_uri()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make(tmp_path_factory.mktemp("night"), count=300)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    yield context.new_page()
    context.close()


def opened(page: Page, address: str) -> Page:
    page.goto(address)
    expect(page.locator("#explorer")).to_be_visible()
    return page


def names(page: Page) -> list[str]:
    return page.locator("#explorer .rows .nm").all_inner_texts()


def count(page: Page) -> Any:
    return page.locator("#explorer .count")


def flat(page: Page) -> None:
    """Show single findings instead of causes."""
    page.get_by_role("button", name="Flat").click()


def facet(page: Page, name: str, value: str) -> None:
    """Choose a value of a facet."""
    button = page.locator("#explorer .facet > button").filter(has_text=name)
    button.click()
    page.locator("#explorer .pop:visible label").filter(has_text=value).first.locator("input").check()
    page.keyboard.press("Escape")


def test_one_request_and_no_complaint(page: Page, address: str) -> None:
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    opened(page, address)
    flat(page)
    page.locator("#explorer .rows .nm").first.click()
    expect(page.locator("#sheet")).to_be_visible()
    assert [url for url in requests if not url.startswith("data:")] == [address]
    assert complaints == []


@pytest.mark.parametrize(
    ("scheme", "width", "state"),
    [
        ("light", 1400, "page"),
        ("dark", 1400, "page"),
        ("light", 390, "page"),
        ("light", 1400, "finding"),
        ("dark", 390, "finding"),
        ("light", 1400, "identity"),
        ("dark", 1024, "opened"),
    ],
)
def test_no_barrier_that_axe_knows(
    browser: Browser, axe: str, address: str, scheme: Any, width: int, state: str
) -> None:
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True
    )
    page = opened(context.new_page(), address)
    match state:
        case "finding":
            flat(page)
            page.locator("#explorer .rows .nm").nth(1).click()
        case "identity":
            page.locator("#browser .rows .nm").first.click()
        case "opened":
            page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            page.get_by_role("button", name="Expand all").click()
        case _:
            pass
    page.evaluate(axe)
    result = page.evaluate("(tags) => axe.run(document, {runOnly: tags, resultTypes: ['violations']})", WCAG)
    overflow = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert [
        (found["id"], [node["target"] for node in found["nodes"]]) for found in result["violations"]
    ] == []
    assert len(result["passes"]) > 20
    assert overflow <= width


def test_search_and_facets_narrow_the_list(page: Page, address: str) -> None:
    opened(page, address)
    expect(count(page)).to_have_text(re.compile("of 300 findings"))
    page.get_by_role("button", name="Show findings of every status").click()
    expect(count(page)).to_have_text("300 of 300 findings")
    facet(page, "Severity", "high")
    expect(count(page)).to_have_text("90 of 300 findings")
    facet(page, "Status", "new")
    flat(page)
    found = page.locator("#explorer .rows [role=row]").all_inner_texts()
    assert found
    assert all("high" in text and "new" in text for text in found)
    assert "severity=high" in page.url
    page.get_by_role("button", name="Reset").click()
    search = page.locator("#explorer input[type=search]").first
    search.fill("jenkins risk")
    expect(count(page)).not_to_have_text(re.compile("^300"))
    expect(page.locator("#explorer .rows .nm").first).to_contain_text("jenkins")
    assert {name.split("-")[0] for name in names(page)} == {"jenkins"}
    search.fill("no such thing")
    expect(count(page)).to_have_text("0 of 300 findings")
    expect(page.locator("#explorer .empty")).to_have_text("No row matches these filters.")


def test_a_list_is_an_address(page: Page, address: str) -> None:
    opened(page, f"{address}#findings?severity=high&status=new&by=none")
    shown = count(page).inner_text()
    expect(page.get_by_role("button", name="Flat")).to_have_attribute("aria-pressed", "true")
    facet(page, "Severity", "high")
    assert count(page).inner_text() == shown
    page.goto(f"{address}#findings?owner=~none&status=~all")
    expect(count(page)).to_have_text("84 of 300 findings")


def test_every_number_leads_to_the_list_that_it_counts(page: Page, address: str) -> None:
    opened(page, address)
    links = [
        (link.get_attribute("href"), link.get_attribute("data-counts"))
        for link in page.locator("[data-counts]").all()
    ]
    assert len(links) > 25
    for target, number in links:
        page.goto(f"{address}{target}")
        where = "#browser" if (target or "").startswith("#inventory") else "#explorer"
        shown = page.locator(f"{where} .count").inner_text()
        assert shown.partition(" of ")[0] == number, target


def test_the_whole_list_is_reached_by_keyboard(page: Page, address: str) -> None:
    opened(page, f"{address}#findings?status=~all&by=none")
    grid = page.locator("#explorer .tree")
    expect(grid).to_have_attribute("aria-rowcount", "301")
    page.locator("#explorer .view").focus()
    page.keyboard.press("End")
    last = page.locator("#explorer .rows [aria-rowindex='301']")
    expect(last).to_be_visible()
    index = "document.activeElement.closest('[role=row]').getAttribute('aria-rowindex')"
    assert page.evaluate(index) == "301"
    page.keyboard.press("PageUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    assert page.evaluate(index) == "2"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#sheet")).to_be_visible()
    assert names(page)[1] == page.locator("#sheet-t").inner_text()
    page.keyboard.press("Escape")
    expect(page.locator("#sheet")).to_be_hidden()
    assert page.evaluate(index) == "3"
    assert page.locator("#explorer .rows [role=row]").count() < 40


def test_causes_open_and_close_by_keyboard(page: Page, address: str) -> None:
    opened(page, address)
    first = page.locator("#explorer .rows [role=row]").first
    expect(first).to_have_attribute("aria-expanded", "false")
    page.locator("#explorer .view").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(first).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    level = "document.activeElement.closest('[role=row]').getAttribute('aria-level')"
    assert page.evaluate(level) in ("2", "3")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#explorer .rows [role=row]").first).to_have_attribute("aria-expanded", "false")


def test_an_identity_has_a_page_and_back_returns(page: Page, address: str) -> None:
    opened(page, address)
    page.locator("#browser .rows .nm").first.click()
    sheet = page.locator("#sheet")
    expect(sheet).to_be_visible()
    for heading in (
        "Findings",
        "Who can become it",
        "What it can become",
        "What it reaches",
        "Its own permissions",
    ):
        expect(sheet.get_by_role("heading", name=heading).first).to_be_visible()
    assert "#identity=" in page.url
    page.go_back()
    expect(sheet).to_be_hidden()


def test_a_link_to_a_finding_opens_it(page: Page, address: str, tmp_path: Path) -> None:
    run_id = write_night(tmp_path, count=300)
    with open_night(tmp_path, run_id) as night:
        finding, detail, fix, subject = next(
            night.rows("SELECT id, detail, fix, subject FROM findings WHERE severity = 'low' ORDER BY id")
        )
    opened(page, f"{address}#{finding}")
    details = page.locator("#sheet")
    expect(details).to_be_visible()
    advice = "Whoever holds this can act without anybody noticing."
    for text in (detail, fix, subject, finding, advice):
        expect(details).to_contain_text(text)
    assert page.url.endswith(f"#{finding}")
    for name in ("Copy link", "Copy id", "Copy fix", "Copy as ticket", "Copy exceptions.yaml block"):
        expect(details.get_by_role("button", name=name, exact=True)).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(details).to_be_hidden()


def test_the_copied_exception_is_one_that_the_reader_accepts(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = opened(context.new_page(), address)
    flat(page)
    page.locator("#explorer .rows .nm").first.click()
    page.get_by_role("button", name="Copy exceptions.yaml block").click()
    expect(page.locator("#said")).to_have_text("Copied")
    block = page.evaluate("navigator.clipboard.readText()")
    rule = (
        page.locator("#sheet dt", has_text=re.compile("^Rule$"))
        .locator("xpath=following-sibling::dd")
        .inner_text()
    )
    context.close()
    filled = re.sub(r"(?m)^    (owner|approver|explanation|ticket):[^\n]*$", r"    \1: someone", block)
    path = tmp_path / "exceptions.yaml"
    path.write_text(f"exceptions:\n{filled}")
    (accepted,) = read_exceptions(path, [rule], AS_OF)
    assert accepted.entry.rule == rule


def test_export_holds_the_filtered_rows_and_guards_formulas(page: Page, tmp_path: Path) -> None:
    def formula(item: Finding) -> Finding:
        if item.rule != "deploy-key-write":
            return item
        return msgspec.structs.replace(item, subject_name='=HYPERLINK("http://evil","x")', blast="  @SUM(1)", fix='say "no", then\nremove')  # fmt: skip

    opened(page, make(tmp_path, count=40, alter=formula) + "#findings?status=~all")
    page.locator("#explorer input[type=search]").first.fill("hyperlink")
    expect(count(page)).to_have_text("4 of 40 findings")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export filtered findings as CSV").click()
    raw = download.value.path().read_bytes()
    assert raw.endswith(b"\r\n")
    rows = list(csv.DictReader(io.StringIO(raw.decode(), newline="")))
    assert len(rows) == 4
    assert {row["subject_name"] for row in rows} == {'\'=HYPERLINK("http://evil","x")'}
    assert {row["impact"] for row in rows} == {"'  @SUM(1)"}
    assert {row["remediation"] for row in rows} == {'say "no", then remove'}
    assert all(row["finding_id"].startswith("nf1-") for row in rows)


def _hostile(item: Finding) -> Finding:
    text = "</script><img src=x onerror=document.title='owned'>\u202e" + "W" * 10_000
    return msgspec.structs.replace(
        item, subject_name=text, title=text, owner=text, account_name=text, identity_name=text, detail=text,
        fix=text, path=[text], evidence={text: text}, url="javascript:document.title='owned'",
    )  # fmt: skip


@pytest.mark.parametrize("width", [1400, 480])
def test_hostile_names_neither_run_nor_break_the_page(browser: Browser, tmp_path: Path, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = opened(context.new_page(), make(tmp_path, count=40, alter=_hostile))
    flat(page)
    page.locator("#explorer .rows .nm").first.click()
    expect(page.locator("#sheet")).to_be_visible()
    assert page.title() == "Identity sprawl: 2026-11-23"
    assert page.locator("img, #sheet a").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_without_javascript_the_worst_are_there_and_the_tools_are_not(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("#still details.cause").count() >= 8
    expect(page.locator("#explorer")).to_be_hidden()
    expect(page.locator("ol.fix > li")).to_have_count(10)
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)
    expect(page.locator("noscript p")).to_be_visible()
    context.close()


def test_under_a_servers_policy_without_script_and_style_it_still_reads(page: Page, address: str) -> None:
    """As in a build server that sends ``sandbox; default-src 'none'`` with what it serves."""
    html = Path(address.removeprefix("file://")).read_bytes()
    page.route(
        "http://build.example/**",
        lambda route: route.fulfill(
            body=html,
            headers={"content-type": "text/html", "content-security-policy": "sandbox; default-src 'none'"},
        ),
    )
    page.goto("http://build.example/report.html")
    text = page.locator("main").inner_text()
    assert "Coverage is incomplete" in text
    assert "Export filtered findings as CSV" not in text
    assert text.index("Verdict") < text.index("Fix first") < text.index("Coverage:") < text.index("Method")


def test_paper_holds_the_filtered_rows(page: Page, address: str) -> None:
    opened(page, address)
    page.goto(f"{address}#findings?q=jenkins&status=~all")
    expect(count(page)).to_have_text("30 of 300 findings")
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    expect(page.locator("#printed tbody tr")).to_have_count(30)
    expect(page.locator("#explorer")).to_be_hidden()
    expect(page.locator("#printed")).to_be_visible()
    for row in page.locator("#printed tbody tr").all()[:3]:
        assert "jenkins-" in row.inner_text()


@pytest.mark.parametrize(
    "options", [{"empty": True}, {"count": 0, "complete": True}, {"first": True}], ids=str
)
def test_nights_without_findings_or_history_are_pages_too(
    page: Page, tmp_path: Path, options: dict[str, Any]
) -> None:
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    opened(page, make(tmp_path, **options))
    expect(count(page)).to_contain_text("findings")
    assert complaints == []
