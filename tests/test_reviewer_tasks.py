"""Ten tasks of a reviewer, on the demo's report, by keyboard alone; and how many pages it prints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.test_report_browser import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Demo


@pytest.fixture
def page(browser: Browser, demo: Demo) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 1440, "height": 1000}, permissions=["clipboard-read", "clipboard-write"]
    )
    address = (max((demo.folder / "reports").iterdir()) / "report.html").as_uri()
    yield opened(context.new_page(), address)
    context.close()


FOCUSED = (
    "(document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || '').trim()"
)


def tab_to(page: Page, pattern: str, most: int = 400) -> None:
    """Press Tab until the focused element has a text or label that matches."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if re.search(pattern, str(page.evaluate(FOCUSED))):
            return
    raise AssertionError(f"{pattern} was not reached in {most} presses of Tab")


def choose(page: Page, facet: str, value: str) -> None:
    """Open a facet, choose a value and close it again."""
    tab_to(page, f"^{facet}$")
    page.keyboard.press("Enter")
    if page.evaluate("document.activeElement.type") == "search":
        page.keyboard.type(value)
    for _ in range(30):
        page.keyboard.press("Tab")
        text = page.evaluate(
            "(document.activeElement.closest('label') || document.activeElement).innerText || ''"
        )
        if text.startswith(value):
            break
    page.keyboard.press("Space")
    page.keyboard.press("Escape")


def rows_of(page: Page, area: str) -> int:
    return int(page.locator(f"{area} .count").inner_text().split(" ")[0].replace(",", ""))


def test_the_worst_excess_and_its_cut(page: Page) -> None:
    tab_to(page, "See the paths and where to cut them", 30)
    page.keyboard.press("Enter")
    tab_to(page, r"^argocd/payments-worker \(argo-application\)$", 12)
    page.keyboard.press("Enter")
    assert page.url.endswith("#pair-1")
    expect(page.locator("#pair-1 .cuthead")).to_contain_text("Cut here")


def test_the_list_of_one_owner(page: Page) -> None:
    page.evaluate("document.querySelector('#owners h2').scrollIntoView()")
    tab_to(page, "^No owner$")
    expected = page.evaluate("document.activeElement.dataset.counts")
    page.keyboard.press("Enter")
    assert rows_of(page, "#explorer") == int(expected)


def test_the_criticals_of_one_account(page: Page) -> None:
    choose(page, "Severity", "critical")
    choose(page, "Account", "lantern-prod")
    assert "severity=critical" in page.url
    assert "account=lantern-prod" in page.url
    page.get_by_role("button", name="Flat").press("Enter")
    found = page.locator("#explorer .rows [role=row]").all_inner_texts()
    assert len(found) == rows_of(page, "#explorer") > 1
    assert all("critical" in text and "lantern-prod" in text for text in found)


def test_a_finding_by_its_id(page: Page) -> None:
    href = page.locator("#since .events a").first.get_attribute("href") or ""
    tab_to(page, "Search names, ids")
    page.keyboard.type(href.removeprefix("#"))
    expect(page.locator("#explorer .count")).to_have_text(re.compile("^1 of "))
    tab_to(page, "^Rows$")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#sheet")).to_contain_text(href.removeprefix("#"))


def test_who_can_become_an_identity(page: Page) -> None:
    tab_to(page, "Search identities")
    page.keyboard.type("deploy-payments")
    expect(page.locator("#browser .count")).to_have_text(re.compile("^1 of "))
    tab_to(page, "^Rows$")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    section = page.locator("#sheet h3", has_text="Who can become it")
    expect(section).to_be_visible()
    expect(section.locator("xpath=following-sibling::ul[1]")).to_contain_text("passes its trust")


def test_what_is_dark_and_which_permission_opens_it(page: Page) -> None:
    tab_to(page, "What is missing, and the permission that opens it", 60)
    page.keyboard.press("Enter")
    row = page.locator("#coverage tr.dark").first
    expect(row).to_be_in_viewport()
    expect(row).to_contain_text("lantern-legacy")
    expect(row.locator("code.copy").first).to_contain_text(
        "sts:AssumeRole on arn:aws:iam::400000000004:role/"
    )


def test_what_is_new(page: Page) -> None:
    tab_to(page, r"^\+ new$")
    expected = page.evaluate("document.activeElement.dataset.counts")
    page.keyboard.press("Enter")
    assert rows_of(page, "#explorer") == int(expected) > 0


def test_the_findings_of_a_control(page: Page) -> None:
    choose(page, "Control", "NIST 800-53 r5.2.0: AC-6")
    shown = rows_of(page, "#explorer")
    row = page.locator("#frameworks tr", has=page.locator("code", has_text=re.compile("^AC-6$")))
    page.evaluate("for (const one of document.querySelectorAll('details.fw')) one.open = true")
    assert shown == int(row.locator("td").last.inner_text()) > 10


def test_an_exception_is_copied(page: Page) -> None:
    tab_to(page, "^Rows$")
    for key in ("ArrowDown", "ArrowRight", "ArrowDown", "ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    if not page.locator("#sheet").is_visible():
        page.keyboard.press("Enter")
    expect(page.locator("#sheet")).to_be_visible()
    tab_to(page, r"Copy exceptions\.yaml block", 30)
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Copied")
    block = page.evaluate("navigator.clipboard.readText()")
    assert re.search(r"(?m)^    expires: 20\d\d-\d\d-\d\d", block)


def test_the_summary_is_printed_on_one_page(page: Page) -> None:
    page.evaluate("window.print = () => { window.printed = document.documentElement.className }")
    tab_to(page, "^Print one page$", 6)
    page.keyboard.press("Enter")
    assert page.evaluate("window.printed") == "one"
    assert pages(page) == 1


def pages(page: Page) -> int:
    return len(re.findall(rb"/Type\s*/Page[^s]", page.pdf(prefer_css_page_size=True)))


def test_the_whole_report_prints_on_at_most_22_pages(page: Page) -> None:
    assert 5 < pages(page) <= 22
