"""JUnit XML."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from reports.check._results import place
from scanner.safe_text import plain

if TYPE_CHECKING:
    from scanner.checked import Checked


def text_of(checked: Checked) -> str:
    """Return JUnit XML (``junit-10.xsd`` of https://github.com/jenkinsci/xunit-plugin): a case for each rule that found
    something, one for each change of reach, and one that says whether everything could be read.
    """
    cases = [
        f'<testcase name={quoteattr(rule)} classname="sprawlscan.check"><failure message={quoteattr(_xml(found[0].title))}>'
        f"{escape(_xml(chr(10).join(f'{place(one)}: {one.what}. Fix: {one.fix}' for one in found)))}</failure></testcase>"
        for rule, among in groupby(sorted(checked.found, key=lambda one: one.rule), key=lambda one: one.rule)
        for found in [list(among)]
    ]
    cases += [
        f'<testcase name={quoteattr(_xml(change.pipeline))} classname="sprawlscan.reach"><failure message={quoteattr(_xml(change.sentence()))}/></testcase>'
        for change in checked.reach
    ]
    failures = len(cases)
    missing = "; ".join(f"{one.what} ({one.reason})" for one in checked.unread)
    error = f"<error message={quoteattr(_xml(missing))}/>" if checked.blind else ""
    skipped = f"<skipped message={quoteattr(_xml(missing))}/>" if missing and not checked.blind else ""
    cases.append(
        f'<testcase name="everything was read" classname="sprawlscan.check">{error}{skipped}</testcase>'
    )
    counts = f'tests="{len(cases)}" failures="{failures}" errors="{int(bool(error))}"'
    suite = f'<testsuite name="sprawlscan check" {counts} skipped="{int(bool(skipped))}">{"".join(cases)}</testsuite>'
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="sprawlscan" {counts}>{suite}</testsuites>'
    )


def _xml(value: str) -> str:
    """Return text without characters that XML 1.0 does not allow."""
    return "\n".join(plain(line, 4000) for line in value.split("\n"))
