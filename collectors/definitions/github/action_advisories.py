"""Actions with published vulnerabilities, and the affected versions. As of 2026-11: the advisories of
https://github.com/advisories?query=type%3Areviewed+ecosystem%3Aactions that allow running code, reading secrets or
replacing artifacts. The list ages: an action that is not in it is not necessarily safe.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator


class Advisory(msgspec.Struct, frozen=True, kw_only=True):
    """One vulnerability of one action."""

    id: str
    action: str
    """In lower case, as GitHub compares it."""
    since: str = "0"
    fixed: str
    """The first fixed version."""
    commits: tuple[str, ...] = ()
    """Affected full SHAs: of affected tags, and of malicious commits that attackers moved tags to."""
    moved: bool = False
    """Whether tags were moved to malicious commits. A pin to a tag's original commit was not affected."""
    what: str


_ADVISORIES = (
    Advisory(id="CVE-2025-30066", action="tj-actions/changed-files", fixed="46.0.1", commits=("0e58ed8671d6b60d0890c21b07f8835ace038e67",),
             moved=True, what="its tags were moved to code that prints secrets"),
    Advisory(id="CVE-2023-51664", action="tj-actions/changed-files", fixed="41", what="file names are executed as commands"),
    Advisory(id="CVE-2025-30154", action="reviewdog/action-setup", fixed="0", commits=("f0d342d24037bb11d26b9bd8496e0808ba32e9ec",),
             moved=True, what="this commit prints secrets"),
    Advisory(id="CVE-2026-33634", action="aquasecurity/trivy-action", fixed="0.35.0", moved=True, what="its tags were moved to code that steals secrets"),
    Advisory(id="CVE-2026-33634", action="aquasecurity/setup-trivy", fixed="0.2.6", moved=True, what="its tags were moved to code that steals secrets"),
    Advisory(id="CVE-2025-54416", action="tj-actions/branch-names", fixed="9", what="branch names are executed as commands"),
    Advisory(id="CVE-2023-49291", action="tj-actions/branch-names", fixed="7.0.7", what="branch names are executed as commands"),
    Advisory(id="CVE-2023-52137", action="tj-actions/verify-changed-files", fixed="17", what="file names are executed as commands"),
    Advisory(id="CVE-2024-42471", action="actions/download-artifact", since="4", fixed="4.1.3", what="an artifact can write files outside its folder",
             commits=("eaceaf801fd36c7dee90939fad912460b18a1ffe", "6b208ae046db98c579e8a3aa621ab581ff575935",
                      "f44cd7b40bfd40b6aa1cc1b9b5b7bf03d3c67110", "7a1cd3216ca9260cd8022db641d960b1db4d1be4")),
    Advisory(id="GHSA-5xr6-xhww-33m4", action="dawidd6/action-download-artifact", fixed="6", what="downloads artifacts of forks by default"),
    Advisory(id="CVE-2021-32074", action="hashicorp/vault-action", fixed="2.2.0", what="multi-line secrets are not masked"),
    Advisory(id="CVE-2020-14188", action="atlassian/gajira-create", fixed="2.0.1", what="issue titles are executed as code"),
    Advisory(id="CVE-2020-14189", action="atlassian/gajira-comment", fixed="2.0.2", what="comment texts are executed as code"),
    Advisory(id="CVE-2022-39326", action="kartverket/github-workflows/.github/workflows/run-terraform.yml", fixed="2.7.5", what="inputs are executed as commands"),
    Advisory(id="CVE-2021-32724", action="check-spelling/check-spelling", fixed="0.0.19", what="a pull request can read the token"),
    Advisory(id="CVE-2023-27581", action="rlespinasse/github-slug-action", since="4", fixed="4.4.1", what="branch names are executed as commands"),
    Advisory(id="CVE-2023-23939", action="azure/setup-kubectl", fixed="3", what="any user of the runner can replace the program"),
    Advisory(id="CVE-2023-30623", action="embano1/wip", fixed="2", what="pull request titles are executed as commands"),
    Advisory(id="CVE-2023-30853", action="gradle/gradle-build-action", fixed="2.4.2", what="secrets are written to the cache"),
    Advisory(id="CVE-2024-42482", action="fish-shop/syntax-check", fixed="1.6.12", what="inputs can inject further arguments"),
    Advisory(id="GHSA-7x29-qqmq-v6qc", action="ultralytics/actions", fixed="0.0.3", what="branch names are executed as commands"),
    Advisory(id="GHSA-pwf7-47c3-mfhx", action="j178/prek-action", fixed="1.0.6", what="inputs are executed as commands"),
    Advisory(id="CVE-2025-31479", action="canonical/get-workflow-version-action", fixed="1.0.1", what="the token can be printed"),
    Advisory(id="CVE-2025-47775", action="bullfrogsec/bullfrog", fixed="0.8.4", what="its network block can be bypassed"),
    Advisory(id="CVE-2025-32955", action="step-security/harden-runner", since="0.12.0", fixed="2.12.0", what="its sudo restriction can be bypassed"),
    Advisory(id="CVE-2025-59844", action="sonarsource/sonarqube-scan-action", since="4", fixed="6", what="inputs are executed as commands"),
    Advisory(id="CVE-2024-48908", action="lycheeverse/lychee-action", fixed="2.0.2", what="inputs are executed as commands"),
)  # fmt: skip
_BY_ACTION: dict[str, list[Advisory]] = {}
for _advisory in _ADVISORIES:
    _BY_ACTION.setdefault(_advisory.action, []).append(_advisory)
_VERSION = re.compile(r"v?(\d+(?:\.\d+){0,3})(?:[-+][\w.]+)?")
_COMMENT = re.compile(r"#\s*(?:tag=|pin@|renovate:\s*tag=|ratchet:\S*@)?v?(?P<version>\d+(?:\.\d+){0,3})\b")


def advisories(action: str, ref: str | None, line: str) -> Iterator[Advisory]:
    """Yield the published vulnerabilities of an action at a ref. ``line`` is the line of the file, whose comment may
    name the commit's version. ``v4`` is the newest 4.x: only vulnerabilities of all 4.x versions count.
    """
    known = _BY_ACTION.get(action.lower())
    if known is None or ref is None:
        return
    named = _VERSION.fullmatch(ref)
    comment = _COMMENT.search(line) if len(ref) == 40 else None
    for advisory in known:
        pinned = comment if not advisory.moved else None
        version = named[1] if named else (pinned["version"] if pinned else None)
        if ref in advisory.commits or (version is not None and _affected(version, advisory)):
            yield advisory
            return


def _affected(version: str, advisory: Advisory) -> bool:
    given = [int(part) for part in version.split(".")]
    fixed, since = ([int(part) for part in text.split(".")] for text in (advisory.fixed, advisory.since))
    return given < fixed[: len(given)] and given >= since[: len(given)]
