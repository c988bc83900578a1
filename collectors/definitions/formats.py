"""Recognizes pipeline definitions by name or content, and selects the parser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.definitions.definition import DefinitionError
from collectors.definitions.yaml_nodes import MAX_BYTES

if TYPE_CHECKING:
    from collectors.definitions.called_files import CalledDefinitions
    from collectors.definitions.definition import Definition, Format
    from scanner.secrets.detectors import Fingerprint

_NAMES: tuple[tuple[Format, re.Pattern[str]], ...] = (
    ("github-workflow", re.compile(r"(?:.*/)?\.(?:github|gitea|forgejo)/workflows/[^/]+\.ya?ml")),
    ("github-action", re.compile(r"(?:.*/)?action\.ya?ml")),
    ("gitlab-ci", re.compile(r"(?:.*/)?(?:\.gitlab-ci\.ya?ml|[^/]*\.gitlab-ci\.ya?ml|\.gitlab/ci/.*\.ya?ml)")),
    ("azure-pipelines", re.compile(r"(?:.*/)?(?:\.?azure-pipelines?[\w.-]*\.ya?ml|\.azure-pipelines/.*\.ya?ml|\.?azuredevops/.*\.ya?ml)")),
    ("bitbucket-pipelines", re.compile(r"(?:.*/)?bitbucket-pipelines\.ya?ml")),
    ("cloudbuild", re.compile(r"(?:.*/)?cloudbuild[\w.-]*\.(?:ya?ml|json)")),
    ("buildspec", re.compile(r"(?:.*/)?buildspec[\w.-]*\.ya?ml")),
    ("circleci", re.compile(r"(?:.*/)?\.circleci/.*\.ya?ml")),
    ("buildkite", re.compile(r"(?:.*/)?(?:\.buildkite/(?:.*/)?[\w.-]*pipeline[\w.-]*\.(?:ya?ml|json)|buildkite\.ya?ml)")),
    ("drone", re.compile(r"(?:.*/)?\.drone\.ya?ml")),
    ("woodpecker", re.compile(r"(?:.*/)?(?:\.woodpecker/.*\.ya?ml|\.woodpecker\.ya?ml)")),
    ("tekton", re.compile(r"(?:.*/)?\.tekton/.*\.ya?ml")),
    ("travis", re.compile(r"(?:.*/)?\.travis\.ya?ml")),
    ("jenkinsfile", re.compile(r"(?:.*/)?(?:[jJ]enkins[fF]ile[\w.-]*|[\w.-]+\.[jJ]enkinsfile)")),
)  # fmt: skip

_ON = r"^[\"']?on[\"']?[ \t]*:"
_SIGNS: tuple[tuple[Format, tuple[re.Pattern[str], ...]], ...] = tuple(
    (name, tuple(re.compile(sign, re.MULTILINE) for sign in signs))  # type: ignore[misc]
    for name, signs in (
        ("github-workflow", (_ON, r"^[\"']?jobs[\"']?[ \t]*:")),
        ("github-action", (r"^[\"']?runs[\"']?[ \t]*:", r"\busing[\"']?[ \t]*:[ \t]*[\"']?(?:composite|docker|node\d+)\b")),
        ("tekton", (r"^apiVersion[ \t]*:[ \t]*[\"']?tekton\.dev/", r"^kind[ \t]*:[ \t]*[\"']?(?:ClusterTask|Task|TaskRun|StepAction|Pipeline|PipelineRun)[\"']?[ \t]*\r?$")),
        ("argo-workflows", (r"^apiVersion[ \t]*:[ \t]*[\"']?argoproj\.io/", r"^kind[ \t]*:[ \t]*[\"']?(?:Cron|Cluster)?Workflow(?:Template)?[\"']?[ \t]*\r?$")),
        ("bitbucket-pipelines", (r"^pipelines[ \t]*:", r"^[ \t]+(?:default|branches|pull-requests|tags|custom)[ \t]*:", r"-[ \t]+step[ \t]*:")),
        ("buildspec", (r"^version[ \t]*:[ \t]*[\"']?0\.[12]\b", r"^phases[ \t]*:")),
        ("cloudbuild", (r"^steps[ \t]*:", r"\bname[ \t]*:[ \t]*[\"']?(?:gcr\.io/(?:cloud-builders|google\.com/cloudsdktool)|[\w-]+-docker\.pkg\.dev/)|^availableSecrets[ \t]*:")),
        ("azure-pipelines", (r"^(?:trigger|pr|pool|stages|jobs|steps|extends|resources|parameters)[ \t]*:", r"-[ \t]+task[ \t]*:[ \t]*[\"']?[\w.-]+@\d|\bvmImage[ \t]*:")),
        ("gitlab-ci", (r"\A(?![\s\S]*^(?:language|jobs|workflows|apiVersion)[ \t]*:)", r"^stages[ \t]*+:[ \t]*+(?:\[|(?:#[^\n]*+|\r)?\n(?:[ \t]*+(?:#[^\n]*+|\r)?\n)*+[ \t]*+-[ \t]++[\"']?[\w ./-]++[\"']?[ \t]*+(?:#[^\n]*+|\r)?$)", r"^[ \t]+(?:script|trigger)[ \t]*:")),
        ("jenkinsfile", (r"^[ \t]*pipeline[ \t]*\{", r"\bagent\b", r"\bstage[ \t]*\(")),
    )
)  # fmt: skip
"""Format to patterns that all occur in its files, and together in no other format."""
_INLINE = re.compile(r"\s*\{")


def format_by_content(text: str) -> Format | None:
    """Return the format of a text if its content is unmistakable, else None.

    A workflow has ``on:`` and ``jobs:`` at its top, an action has ``runs:`` with ``using:``, and so on.
    """
    shown = text[:_EXAMINED].removeprefix("\ufeff")
    if _INLINE.match(shown):  # written in one line, like JSON: keys are not at the start of a line
        shown = re.sub(r"[{,][ \t]*(?=[\"']?[\w-]+[\"']?[ \t]*:)", "\n", shown)
    for name, signs in _SIGNS:
        if all(sign.search(shown) for sign in signs):
            return name
    return None


_EXAMINED = 500_000
"""Number of characters examined to recognize a format."""


def format_of(path: str) -> Format | None:
    """Return the format of a definition file by its path (with ``/``); None for other files."""
    return next((name for name, pattern in _NAMES if pattern.fullmatch(path)), None)


def parse(
    path: str,
    text: str,
    fingerprint: Fingerprint,
    *,
    owner: str | None = None,
    kind: Format | None = None,
    called: CalledDefinitions | None = None,
) -> Definition:
    """Parse one definition file. Raises only `DefinitionError`, if it cannot be parsed. ``owner`` is the GitHub account
    or GitLab group whose actions and templates are not third-party. ``kind`` is the format, if known; otherwise it
    follows from the name or else the content. ``called`` reads the files that the definition calls.
    """
    kind = kind or format_of(path) or format_by_content(text)
    if len(text) > MAX_BYTES:
        raise DefinitionError("truncated", f"larger than {MAX_BYTES} bytes")
    match kind:
        case "github-workflow" | "github-action":
            from collectors.definitions.github import workflow as github_workflow

            return github_workflow.parse(path, text, fingerprint, owner, called)
        case "gitlab-ci":
            from collectors.definitions.gitlab import ci as gitlab_ci

            return gitlab_ci.parse(path, text, fingerprint, owner)
        case "azure-pipelines":
            from collectors.definitions.azure import pipelines as azure_pipelines

            return azure_pipelines.with_templates(path, text, fingerprint, called)
        case "bitbucket-pipelines":
            from collectors.definitions.bitbucket import pipelines as bitbucket_pipelines

            return bitbucket_pipelines.parse(path, text, fingerprint)
        case "cloudbuild":
            from collectors.definitions.cloudbuild import build as cloudbuild

            return cloudbuild.parse(path, text, fingerprint)
        case "buildspec":
            from collectors.definitions.codebuild import buildspec

            return buildspec.parse(path, text, fingerprint)
        case "jenkinsfile":
            from collectors.definitions.jenkins import jenkinsfile

            return jenkinsfile.parse(path, text, fingerprint)
        case "circleci":
            from collectors.definitions.circleci import config as circleci_definition

            return circleci_definition.parse(path, text, fingerprint)
        case "buildkite":
            from collectors.definitions.buildkite import pipeline as buildkite_definition

            return buildkite_definition.parse(path, text, fingerprint)
        case "travis":
            from collectors.definitions.travis import travis as travis_definition

            return travis_definition.parse(path, text, fingerprint)
        case "tekton":
            from collectors.definitions.tekton import tasks as tekton_definition

            return tekton_definition.parse(path, text, fingerprint)
        case "argo-workflows":
            from collectors.definitions.argo import workflows as argo_definition

            return argo_definition.parse(path, text, fingerprint)
        case "drone" | "woodpecker":
            from collectors.definitions.drone import pipeline as drone_definition

            return drone_definition.parse(path, text, fingerprint, kind)
        case None:
            raise DefinitionError("unread", f"{path} is not a known definition file")
