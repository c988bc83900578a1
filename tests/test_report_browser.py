"""The HTML report in a real browser: it works from a file, without network, by keyboard, and for everyone."""

from __future__ import annotations

import csv
import io
import os
import shutil
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from reports.html import Config, write
from scanner.night import open_night
from tests.synthetic_night import write_night

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.findings import Finding

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="session")
def axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None and os.environ.get("CI") != "true":
        pytest.skip("a Chromium browser is needed")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


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
    return page.locator(".rows .name").all_inner_texts()


def test_one_request_and_no_complaint(page: Page, address: str) -> None:
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    opened(page, address)
    page.locator(".rows .name").first.click()
    expect(page.locator("#details")).to_be_visible()
    assert [url for url in requests if not url.startswith("data:")] == [address]
    assert complaints == []


@pytest.mark.parametrize(
    ("scheme", "width", "dialog"),
    [
        ("light", 1400, False),
        ("dark", 1400, False),
        ("light", 480, False),
        ("light", 1400, True),
        ("dark", 480, True),
    ],
)
def test_no_barrier_that_axe_knows(
    browser: Browser, axe: str, address: str, scheme: Any, width: int, dialog: bool
) -> None:
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True
    )
    page = opened(context.new_page(), address)
    if dialog:
        page.locator(".rows .name").nth(1).click()
    page.evaluate(axe)
    result = page.evaluate("(tags) => axe.run(document, {runOnly: tags, resultTypes: ['violations']})", WCAG)
    context.close()
    assert [
        (found["id"], [node["target"] for node in found["nodes"]]) for found in result["violations"]
    ] == []
    assert len(result["passes"]) > 20


def test_search_facets_and_sort_narrow_the_table(page: Page, address: str) -> None:
    opened(page, address)
    count = page.locator("#count")
    expect(count).to_have_text("300 of 300 findings")
    page.get_by_role("button", name="high", exact=False).and_(
        page.locator("[data-facet=severity] button")
    ).click()
    expect(count).to_have_text("90 of 300 findings")
    page.locator("[data-facet=status] button.new").click()
    expect(page.locator("[data-facet=status] button.new")).to_have_attribute("aria-pressed", "true")
    found = page.locator(".rows [role=row]").all_inner_texts()
    assert found
    assert all("high" in text and "new" in text for text in found)
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_label("Search").fill("jenkins risk")
    expect(count).not_to_have_text("300 of 300 findings")
    assert {name.split("-")[0] for name in names(page)} == {"jenkins"}
    page.get_by_label("Search").fill("no such thing")
    expect(count).to_have_text("0 of 300 findings")
    expect(page.locator(".none")).to_have_text("No finding matches these filters.")
    page.get_by_role("button", name="Clear filters").click()
    page.locator(".selects label").first.locator("select").select_option(label="no owner (84)")
    expect(count).to_have_text("84 of 300 findings")
    page.get_by_role("button", name="Clear filters").click()
    header = page.locator(".head").get_by_role("columnheader", name="Finding")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert names(page) == sorted(names(page))
    assert names(page)[0].startswith("AKIA")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    assert names(page)[0].startswith("web:latest")


def test_an_owner_in_the_summary_leads_to_their_findings(page: Page, address: str) -> None:
    opened(page, address)
    row = page.locator("#owners tbody tr").filter(has_text="team-risk")
    total = row.locator("td.total").inner_text()
    row.get_by_role("link").click()
    expect(page.locator("#count")).to_have_text(f"{total} of 300 findings")


def test_the_whole_list_is_reached_by_keyboard(page: Page, address: str) -> None:
    opened(page, address)
    grid = page.locator("#grid")
    expect(grid).to_have_attribute("aria-rowcount", "301")
    page.locator(".view").focus()
    page.keyboard.press("End")
    last = page.locator(".rows [aria-rowindex='301']")
    expect(last).to_be_visible()
    assert (
        page.evaluate("document.activeElement.closest('[role=row]').getAttribute('aria-rowindex')") == "301"
    )
    page.keyboard.press("PageUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.closest('[role=row]').getAttribute('aria-rowindex')") == "2"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#details")).to_be_visible()
    assert names(page)[1] == page.locator("#details-title").inner_text()
    page.keyboard.press("Escape")
    expect(page.locator("#details")).to_be_hidden()
    assert page.evaluate("document.activeElement.closest('[role=row]').getAttribute('aria-rowindex')") == "3"
    assert page.locator(".rows [role=row]").count() < 40


def test_a_link_to_a_finding_opens_it(page: Page, address: str, tmp_path: Path) -> None:
    run_id = write_night(tmp_path, count=300)
    with open_night(tmp_path, run_id) as night:
        finding, detail, fix, subject = next(
            night.rows("SELECT id, detail, fix, subject FROM findings WHERE severity = 'low' ORDER BY id")
        )
    opened(page, f"{address}#{finding}")
    details = page.locator("#details")
    expect(details).to_be_visible()
    advice = "Whoever holds this can act without anybody noticing."
    for text in (detail, fix, subject, finding, advice, "Give each pipeline a login that ends by itself."):
        expect(details).to_contain_text(text)
    assert page.url.endswith(f"#{finding}")
    page.get_by_role("button", name="Close").click()
    expect(details).to_be_hidden()


def test_export_holds_the_filtered_rows_and_guards_formulas(page: Page, tmp_path: Path) -> None:
    def formula(item: Finding) -> Finding:
        if item.rule != "deploy-key-write":
            return item
        return msgspec.structs.replace(item, subject_name='=HYPERLINK("http://evil","x")', blast="  @SUM(1)", fix='say "no", then\nremove')  # fmt: skip

    opened(page, make(tmp_path, count=40, alter=formula))
    page.get_by_label("Search").fill("hyperlink")
    expect(page.locator("#count")).to_have_text("4 of 40 findings")
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
    page.locator(".rows .name").first.click()
    expect(page.locator("#details")).to_be_visible()
    assert page.title() == "Identity sprawl: 2026-11-23"
    assert page.locator("img, #details a").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_without_javascript_the_worst_are_there_and_the_tools_are_not(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    expect(page.locator("#still table tbody tr")).to_have_count(25)
    expect(page.locator("#explorer")).to_be_hidden()
    expect(page.locator("ol.worst > li")).to_have_count(10)
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
    assert (
        text.index("Summary") < text.index("Top risks") < text.index("Coverage gaps") < text.index("Method")
    )


def test_paper_holds_the_filtered_rows(page: Page, address: str) -> None:
    opened(page, address)
    page.get_by_label("Search").fill("jenkins")
    expect(page.locator("#count")).to_have_text("30 of 300 findings")
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
    expect(page.locator("#count")).to_contain_text("findings")
    assert complaints == []
