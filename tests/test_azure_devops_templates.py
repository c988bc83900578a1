"""Templates of Azure Pipelines in other files, repositories, projects and refs.

Which file a name means: https://learn.microsoft.com/azure/devops/pipelines/process/templates
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collectors.definitions import CalledRepository, Definition, DefinitionError, azure_pipeline
from sandbox.azure_devops import AzureDevOpsSandbox
from scanner.records import Gap, Identity, Link, Weakness
from scanner.secrets.detectors import Fingerprint
from tests.test_azure_devops import collected, connection

if TYPE_CHECKING:
    from pathlib import Path

FP = Fingerprint(b"k")
STEP = "steps: [{task: AzureCLI@2, inputs: {azureSubscription: %s, scriptType: bash, inlineScript: az account show}}]\n"


class Files:
    """Texts by repository, ref and path."""

    def __init__(self, **texts: str) -> None:
        self.texts = texts
        self.asked: list[str] = []

    def read(self, repository: CalledRepository, path: str) -> str:
        place = "/".join((repository.name or "own", repository.ref or "default", path))
        self.asked.append(place)
        if place not in self.texts:
            raise DefinitionError("denied", "it was refused")
        return self.texts[place]


def read(source: str, path: str = "ci/azure-pipelines.yml", **texts: str) -> tuple[Definition, list[str]]:
    files = Files(**texts)
    return azure_pipeline(path, source, FP, files), files.asked


def connections(definition: Definition) -> set[str]:
    return {one.name for one in definition.secrets if one.store == "service-connection"}


RESOURCES = "resources: {repositories: [{repository: shared, type: git, name: platform/templates, ref: refs/tags/v2}]}\n"


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("steps: [{template: build.yml}]\n", "own/default/ci/build.yml"),
        ("steps: [{template: ../tools/build.yml}]\n", "own/default/tools/build.yml"),
        ("steps: [{template: /tools/build.yml}]\n", "own/default/tools/build.yml"),
        ("steps: [{template: tools/build.yml@self}]\n", "own/default/tools/build.yml"),
        (
            RESOURCES + "steps: [{template: tools/build.yml@shared}]\n",
            "platform/templates/refs/tags/v2/tools/build.yml",
        ),
    ],
)
def test_which_file_a_name_means(source: str, place: str) -> None:
    definition, asked = read(source, **{place: STEP % "azure"})
    assert asked == [place]
    assert connections(definition) == {"azure"}
    assert definition.unresolved == []


def test_what_a_template_names_is_relative_to_itself_and_of_its_own_repository() -> None:
    base = "platform/templates/refs/tags/v2/"
    definition, asked = read(
        RESOURCES + "extends: {template: stages/deploy.yml@shared}\n",
        **{
            base + "stages/deploy.yml": "stages: [{stage: go, jobs: [{template: ../jobs/web.yml}]}]\n",
            base
            + "jobs/web.yml": "jobs: [{deployment: web, environment: production, strategy: {runOnce: {deploy: {steps: [{template: /steps/go.yml}]}}}}]\n",
            base + "steps/go.yml": STEP % "azure",
        },
    )
    assert asked == [base + "stages/deploy.yml", base + "jobs/web.yml", base + "steps/go.yml"]
    assert connections(definition) == {"azure"}
    assert {job.environment for job in definition.jobs} == {"production"}
    (reference,) = [one for one in definition.secrets if one.store == "service-connection"]
    assert definition.where(reference.line) == "steps/go.yml@platform/templates:1"


def test_parameters_are_filled_from_the_caller_or_their_defaults() -> None:
    template = "parameters: [{name: connection, type: string}, {name: group, type: string, default: shared-secrets}]\nvariables: [{group: '${{ parameters.group }}'}]\njobs: [{job: x, %s}]\n"
    given = template % (STEP % "'${{ parameters.connection }}'").strip()
    definition, _ = read(
        "variables: {which: production}\nextends: {template: t.yml, parameters: {connection: 'azure-${{ variables.which }}'}}\n",
        **{"own/default/ci/t.yml": given},
    )
    assert connections(definition) == {"azure-production"}
    assert {one.name for one in definition.secrets if one.store == "variable-group"} == {"shared-secrets"}


def test_variables_of_a_template_count_where_it_is_included() -> None:
    definition, _ = read(
        "variables: [{template: vars.yml}]\n" + STEP % "$(connection)",
        **{"own/default/ci/vars.yml": "variables: {connection: azure-shop}\n"},
    )
    assert connections(definition) == {"azure-shop"}


@pytest.mark.parametrize(
    ("caller", "found"),
    [("message: fixed", False), ("message: '${{ parameters.free }}'", True)],
)
def test_a_template_is_injected_only_through_what_the_caller_leaves_open(caller: str, found: bool) -> None:
    definition, _ = read(
        f"parameters: [{{name: free, type: string}}]\nsteps: [{{template: t.yml, parameters: {{{caller}}}}}]\n",
        **{
            "own/default/ci/t.yml": "parameters: [{name: message, type: string}]\nsteps: [{script: 'echo ${{ parameters.message }}'}]\n"
        },
    )
    assert ("template-injection" in {one.code for one in definition.problems}) is found


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("steps: [{template: gone.yml}]\n", "refused"),
        ("steps: [{template: x.yml@nowhere}]\n", "not among the resources"),
        ("steps: [{template: '${{ parameters.which }}.yml'}]\n", "computed"),
        ("steps: [{template: circle.yml}]\n", "includes itself"),
        ("steps: [{template: list.yml}]\n", "not a mapping"),
    ],
)
def test_what_cannot_be_read_is_named_and_the_rest_is_kept(source: str, words: str) -> None:
    definition, _ = read(
        source.replace("]\n", ", " + (STEP % "azure").removeprefix("steps: [")),
        **{
            "own/default/ci/circle.yml": "steps: [{template: circle.yml}]\n",
            "own/default/ci/list.yml": "- 1\n",
        },
    )
    assert words in definition.unresolved[0].what
    assert connections(definition) == {"azure"}


def test_a_pipeline_with_templates_without_end_is_read_to_a_limit() -> None:
    texts = {f"own/default/{n}.yml": f"steps: [{{template: {n + 1}.yml}}]\n" for n in range(1, 60)}
    definition, asked = read("steps: [{template: 1.yml}]\n", "azure-pipelines.yml", **texts)
    assert len(asked) == 20
    assert "more called files" in definition.unresolved[0].what


# By the API

EXTENDS = """\
resources:
  repositories:
    - {repository: templates, type: git, name: platform/templates, ref: refs/tags/v2}
extends:
  template: deploy.yml@templates
  parameters: {connection: azure-payments}
"""
DEPLOY = """\
parameters: [{name: connection, type: string}]
jobs:
  - job: go
    steps: [{task: AzureCLI@2, inputs: {azureSubscription: '${{ parameters.connection }}', inlineScript: az account show}}]
"""


def extended(sandbox: AzureDevOpsSandbox, source: str = EXTENDS, *, templates: bool = True) -> str:
    platform, payments = sandbox.organization.projects[:2]
    if templates:
        number = platform.repository("templates")["id"]
        platform.files[f"{number}@v2/deploy.yml"] = DEPLOY
    payments.pipeline(777, "extended", payments.repository("extended", **{"azure-pipelines.yml": source}))
    return f"azure-devops:pipeline:{payments.id}/777"


def test_a_template_of_another_project_and_ref_leads_to_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        me = extended(sandbox)
        extended(sandbox, templates=False)
        sandbox.organization.projects[1].definitions[-1]["id"] = 778
        records = collected(sandbox, tmp_path, monkeypatch)
        asked = [call for call in sandbox.log if "versionType" in str(call)]
    used = {
        row.target_id
        for row in records
        if isinstance(row, Link) and (row.source_id, row.relation) == (me, "uses")
    }
    assert used == {connection(records, "azure-payments").id}
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (EXTENDS, "denied"),
        (EXTENDS.replace("type: git", "type: github"), None),
    ],
)
def test_a_template_that_cannot_be_read_leaves_the_pipeline_unknown(
    source: str, reason: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureDevOpsSandbox() as sandbox:
        me = extended(sandbox, source, templates=False)
        records = collected(sandbox, tmp_path, monkeypatch)
    known = {row.id for row in records if isinstance(row, Identity)}
    assert me in known
    used = {
        row.target_id
        for row in records
        if isinstance(row, Link) and (row.source_id, row.relation) == (me, "uses")
    }
    assert used - known
    told = {row.code for row in records if isinstance(row, Weakness) and row.subject_id == me}
    assert "unresolved-reference" in told
    gaps = {row.reason for row in records if isinstance(row, Gap) and "pipeline 777" in row.call}
    assert gaps == ({reason} if reason else set())
