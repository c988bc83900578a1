"""The names of the framework mappings, which the configuration chooses from; `scanner.analyze.framework` reads them."""

from __future__ import annotations

from pathlib import Path

FRAMEWORKS = Path(__file__).parent / "analyze" / "frameworks"

EVERY_FRAMEWORK = "all"
"""Stands for every framework in the configuration."""
CITED_BY_DEFAULT = ("owasp-nhi", "owasp-cicd", "nist-800-53", "cis-aws")
"""The frameworks that are cited unless the configuration says otherwise. With all of them, a finding cites up to 40
controls."""


def framework_names() -> list[str]:
    """Return the ids of the mappings."""
    return sorted(path.stem for path in FRAMEWORKS.glob("*.yaml"))
