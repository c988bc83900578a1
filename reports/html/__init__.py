"""The report for security reviewers: one HTML file without network access, readable without JavaScript and CSS.

Its Content-Security-Policy allows only the embedded style and script, by their hashes
(https://www.w3.org/TR/CSP3/#framework-directive-source-list). Texts from providers pass `scanner.safe_text.plain` and the template
engine's escaping. The table's data is base64.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.html.columns import packed
from reports.html.delivery import pair_label
from reports.html.embedded_inventory import embed_inventory
from reports.html.findings import MOST, EmbeddedFindings, embed_findings
from reports.html.labels import POWER_NAMES
from reports.html.links import web_address
from reports.html.page import ReportPage, read_page
from reports.html.queries import plural
from reports.html.trend import HEIGHT, WIDTH, read_trend
from scanner.analyze.exceptions import CAP_DAYS
from scanner.config import Section
from scanner.figures import figure_text
from scanner.findings import SEVERITIES
from scanner.private_files import write_private
from scanner.rule_texts import rules_in_force
from scanner.run_coverage import coverage_sentence
from scanner.safe_text import NAME, plain
from scanner.snapshot import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment
    from jinja2.bccache import Bucket

    from scanner.night import Night
    from scanner.rule_texts import RuleText

TEMPLATES = Path(__file__).parents[2] / "templates"


class Config(Section):
    """The HTML report."""

    title: str = "Identity sprawl"
    """The title of the report."""


def write(night: Night, folder: Path, config: Config) -> list[Path]:
    """Write ``report.html`` into a folder and return its path. The same night gives the same bytes."""
    path = folder / "report.html"
    write_private(path, render(night, config).encode())
    return [path]


def render(night: Night, config: Config, most: int = MOST) -> str:
    """Return the report of a night as HTML, with at most ``most`` findings in its table."""
    from markupsafe import Markup

    rules = rules_in_force(night)
    style = _packed(TEMPLATES / "report.css")
    script = _packed(TEMPLATES / "report.js")
    findings = embed_findings(night, most)
    inventory = embed_inventory(night, findings.shown)
    page = read_page(night, rules)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=config.title,
            night=night,
            manifest=night.manifest,
            coverage=coverage_sentence(night.coverage),
            manifest_sha256=sha256_of(night.snapshot / "manifest.json"),
            page=page,
            trend=read_trend(night),
            embedded=findings,
            inventory=inventory,
            payload=packed(_data(night, page, rules, findings) | inventory.tables),
            policy=content_security_policy(style, script),
            style=Markup(style),  # noqa: S704  our own file
            script=Markup(script),  # noqa: S704  our own file
        )
    )


def _data(
    night: Night, page: ReportPage, rules: Mapping[str, RuleText], findings: EmbeddedFindings
) -> dict[str, Any]:
    """Return the data of the page's script, without the inventory."""
    return {
        "asof": night.as_of.strftime("%Y-%m-%d"),
        "run": night.run_id,
        "cap": CAP_DAYS,
        "rules": {
            rule.id: {
                "t": plain(rule.title),
                "w": plain(rule.why),
                "f": plain(rule.fix),
                "n": [need for need in rule.needs if not need.endswith(" excluding")],
                "c": {provider: [str(control) for control in cited] for provider, cited in rule.controls.items()},
            }
            for rule in rules.values()
            if rule.id in findings.rules
        },
        "results": [
            [
                row["rule"], plain(row["title"]), row["severity"], row["open"], row["evaluated"], row["incomplete"],
                row["missing"], row["errors"], plain(row["params"]),
            ]
            for row in page.rules
        ],
        "frameworks": [
            [one.label, one.name, one.not_claimed, [list(control) for control in one.controls]]
            for one in page.frameworks
        ],
        "F": findings.columns,
    }  # fmt: skip


def _packed(path: Path) -> str:
    """Return a style or script without indentation and comments. Neither has multi-line strings."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".css":
        text = re.sub(r"/\*[^*]*\*/", "", text)
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//")) + "\n"


def content_security_policy(style: str, script: str) -> str:
    """Return a policy that allows one style, one script and embedded images."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined

    class CompiledTemplates(FileSystemBytecodeCache):
        """Keeps compiled templates next to their sources, as Python keeps modules: compiling takes a fifth of a second."""

        def dump_bytecode(self, bucket: Bucket) -> None:
            if not sys.dont_write_bytecode:
                with contextlib.suppress(OSError):  # The installation may be read-only.
                    (TEMPLATES / "__pycache__").mkdir(exist_ok=True)
                    super().dump_bytecode(bucket)

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        bytecode_cache=CompiledTemplates(str(TEMPLATES / "__pycache__")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "day": _day,
        "moment": _moment,
        "web_address": web_address,
        "name": _name,
        "figure": figure_text,
        "pair_label": pair_label,
        "brief": _brief,
    }
    environment.globals |= {
        "plural": plural,
        "powers": list(POWER_NAMES.values()),
        "severities": SEVERITIES,
        "spark_width": WIDTH,
        "spark_height": HEIGHT,
    }
    return environment


def _shown(value: Any) -> Any:
    """Return the output of an expression: text that is not markup is made plain, None becomes "unknown"."""
    if value is None:
        return "unknown"
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return plain(value)
    return f"{value:,}" if isinstance(value, int) else value


def _name(value: str | None) -> str:
    """Truncate a name."""
    return "unknown" if value is None else plain(value, NAME)


def _brief(name: str) -> str:
    """Shorten the path of a workflow file, which says nothing in a list."""
    return name.replace("/.github/workflows/", " › ")


def _day(value: datetime) -> str:
    return value.strftime("%Y-%m-%d")


def _moment(value: datetime) -> str:
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
