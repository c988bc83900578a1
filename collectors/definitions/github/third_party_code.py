"""Third-party code in a workflow: actions, called workflows and images, by pin, age and published vulnerabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collectors.definitions.definition import Problem
from collectors.definitions.github.action_advisories import advisories
from collectors.definitions.github.steps import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collectors.definitions.github.steps import Workflow
    from scanner.records import Severity

_ARCHIVED = frozenset(
    (
        "actions/create-release", "actions/upload-release-asset", "actions/setup-ruby", "actions/setup-elixir",
        "actions/setup-haskell", "actions-rs/audit-check", "actions-rs/cargo", "actions-rs/clippy-check",
        "actions-rs/components-nightly", "actions-rs/install", "actions-rs/tarpaulin", "actions-rs/toolchain",
        "andrewmcodes-archive/rubocop-linter-action", "artichoke/setup-rust", "aslafy-z/conventional-pr-title-action",
        "azure/container-actions", "azure/container-scan", "azure/get-keyvault-secrets", "azure/k8s-actions",
        "azure/powershell", "cedrickring/golang-action", "decathlon/pull-request-labeler-action",
        "justinribeiro/lighthouse-action", "grafana/k6-action", "helaili/github-graphql-action", "helaili/jekyll-action",
        "juliaregistries/tagbot", "marvinpinto/action-automatic-releases", "repo-sync/pull-request", "snow-actions/composer-install",
        "stefanprodan/kube-tools", "thollander/actions-comment-pull-request-archived", "xt0rted/markdownlint-problem-matcher",
        "dawidd6/action-delete-branch-archived", "trilom/file-changes-action", "jakejarvis/s3-sync-action", "gaurav-nelson/github-action-markdown-link-check",
    )
)  # fmt: skip


def third_party_code(workflow: Workflow) -> Iterator[Problem]:
    """Yield third-party code that is not pinned, archived, or known to be vulnerable."""
    for use in workflow.uses:
        name = f"{use.name}@{use.ref}" if use.ref and use.kind != "image" else use.name
        if use.kind == "image":
            if use.pin in {"none", "tag"}:
                yield Problem(
                    code="unpinned-images", line=use.line, job=use.job, severity="medium" if use.pin == "none" else "low",
                    detail=f"image {name} is not pinned to a digest, so it can change without a change to this file",
                    fix="Name the image with @sha256:<digest>.",
                )  # fmt: skip
            continue
        if use.name.lower() in _ARCHIVED:
            yield Problem(
                code="archived-uses", line=use.line, job=use.job, severity="low",
                detail=f"{use.name} is archived and gets no more security fixes",
                fix="Use a maintained action, or run the tool directly.",
            )  # fmt: skip
        shown = "".join(workflow.lines_from(use.line, 1))
        for advisory in advisories(use.name, use.ref, shown):
            yield Problem(
                code="known-vulnerable-uses", line=use.line, job=use.job, severity="high",
                detail=f"{name} has {advisory.id}: {advisory.what}",
                fix=f"Use {use.name} {advisory.fixed} or later." if advisory.fixed != "0" else "Pin a commit without the malicious code.",
            )  # fmt: skip
        if use.pin not in {"none", "tag", "branch", "expression"}:
            continue
        severity: Severity = "high" if use.pin in {"branch", "none"} and use.third_party else "medium"
        if not use.third_party:
            severity = "low"
        yield Problem(
            code="unpinned-uses", line=use.line, job=use.job, severity=severity,
            detail=f"{name} is pinned to {_article(use.pin)}, which the publisher can move",
            fix=f"Pin {use.name} to the full commit SHA, with the version in a comment.",
        )  # fmt: skip
        handed = [name for name in use.secrets if name != "GITHUB_TOKEN"]
        if handed and use.third_party:
            yield Problem(
                code="third-party-sees-secrets", line=use.line, job=use.job, severity="high",
                detail=f"{name} is not pinned to a commit and receives {listed(handed)}",
                fix=f"Pin {use.name} to a full commit SHA and pass it only the secrets it needs.",
            )  # fmt: skip


def _article(pin: str) -> str:
    return {"none": "nothing", "expression": "an expression"}.get(pin, f"a {pin}")
