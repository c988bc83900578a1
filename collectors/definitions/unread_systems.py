"""Delivery systems whose definitions are not read, by the names of their files: each becomes a Gap that names it.

State of 2026-11-30. A repository with only such a file must not look as if it had no pipeline.
"""

from __future__ import annotations

import re

_NAMES: tuple[tuple[str, str], ...] = (
    # https://docs.github.com/en/actions/tutorials/migrate-to-github-actions lists the systems that are met most often.
    ("AppVeyor", r"\.?appveyor\.ya?ml"),
    ("Argo CD", r"\.argocd-source[\w.-]*\.ya?ml"),
    ("Atlantis", r"atlantis\.ya?ml"),
    ("Bitrise", r"bitrise\.ya?ml"),
    ("Buildkite", r"(?:\.buildkite/.*\.(?:ya?ml|json)|buildkite\.ya?ml)"),
    ("Cirrus CI", r"\.cirrus\.(?:ya?ml|star)"),
    ("Codefresh", r"(?:\.codefresh/.*\.ya?ml|codefresh\.ya?ml)"),
    ("Codemagic", r"codemagic\.ya?ml"),
    ("Dagger", r"dagger\.json"),
    ("Drone", r"\.drone\.(?:jsonnet|star)"),
    ("Earthly", r"Earthfile"),
    ("Google Cloud Deploy", r"clouddeploy\.ya?ml"),
    ("Harness", r"\.harness/.*\.ya?ml"),
    ("Prow", r"\.prow(?:/.*)?\.ya?ml"),
    ("Screwdriver", r"screwdriver\.ya?ml"),
    ("Semaphore", r"\.semaphore/.*\.ya?ml"),
    ("TeamCity", r"\.teamcity/.*\.(?:kts?|xml)"),
    ("Wercker", r"wercker\.ya?ml"),
    ("Xcode Cloud", r"ci_scripts/ci_(?:post|pre)_[\w-]+\.sh"),
)
_PATTERNS = tuple((name, re.compile(rf"(?:.*/)?{pattern}")) for name, pattern in _NAMES)
_CONTENT: tuple[tuple[str, tuple[re.Pattern[str], ...]], ...] = tuple(
    (name, tuple(re.compile(sign, re.MULTILINE) for sign in signs))
    for name, signs in (
        ("Tekton", (r"^apiVersion[ \t]*:[ \t]*[\"']?(?:triggers\.)?tekton\.dev/",)),
        (
            "Argo Events",
            (
                r"^apiVersion[ \t]*:[ \t]*[\"']?argoproj\.io/",
                r"^kind[ \t]*:[ \t]*[\"']?(?:Sensor|EventSource)[\"']?[ \t]*$",
            ),
        ),
        (
            "Concourse",
            (r"^resources[ \t]*:", r"^jobs[ \t]*:[ \t]*\r?\n[ \t]*-[ \t]", r"^[ \t]+(?:-[ \t]+)?plan[ \t]*:"),
        ),
    )
)
"""System to patterns that all occur in its definitions."""


def unread_system(path: str) -> str | None:
    """Return the system whose definition a path (with ``/``) names; None for other files."""
    return next((name for name, pattern in _PATTERNS if pattern.fullmatch(path)), None)


def unread_content(text: str) -> str | None:
    """Return the system whose definition a YAML text is, whatever the name of its file."""
    shown = text[:_EXAMINED]
    return next((name for name, signs in _CONTENT if all(sign.search(shown) for sign in signs)), None)


_EXAMINED = 100_000
"""Characters that are looked at."""
