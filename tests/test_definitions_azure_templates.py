"""Templates of Azure pipelines in a checkout: conditions and lists that the parameters decide, and what they carry along."""

from __future__ import annotations

import pytest

from collectors.definitions import CalledDefinitions, CalledRepository, Definition, DefinitionError, parse
from scanner.secrets.detectors import Fingerprint


class Files:
    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts

    def read(self, repository: CalledRepository, path: str) -> str:
        if repository.name or path not in self.texts:
            raise DefinitionError("unsupported", "it does not exist")
        return self.texts[path]


def read(main: str, **texts: str) -> Definition:
    files = {f"{name}.yml": text for name, text in texts.items()}
    return parse("azure-pipelines.yml", main, Fingerprint(b"k"), called=CalledDefinitions(Files(files)))


def connections(found: Definition) -> set[str]:
    return {one.name for one in found.secrets if one.store == "service-connection"}


STEPS = """\
parameters:
  - {name: env, default: dev}
  - {name: extra, type: boolean, default: false}
steps:
  - ${{ if %s }}:
      - task: AzureCLI@2
        inputs: {azureSubscription: first, scriptType: bash, inlineScript: az group list}
  - ${{ else }}:
      - task: AzureCLI@2
        inputs: {azureSubscription: second, scriptType: bash, inlineScript: az group list}
"""


@pytest.mark.parametrize(
    ("condition", "passed", "expected"),
    [
        ("eq(parameters.env, 'prod')", "{env: prod}", {"first"}),
        ("eq(parameters.env, 'PROD')", "{env: prod}", {"first"}),
        ("eq(parameters.env, 'prod')", "{}", {"second"}),
        ("ne(parameters.env, 'prod')", "{env: prod}", {"second"}),
        ("and(eq(parameters.env, 'prod'), parameters.extra)", "{env: prod}", {"second"}),
        ("or(eq(parameters.env, 'prod'), not(parameters.extra))", "{env: x}", {"first"}),
        ("in(parameters.env, 'a', 'b')", "{env: b}", {"first"}),
        ("eq(variables['Build.Reason'], 'PullRequest')", "{env: prod}", {"first", "second"}),
        ("eq(parameters.env, 'prod')", "{env: '$(env)'}", {"first", "second"}),
        ("and(eq(variables.x, 'a'), eq(parameters.env, 'prod'))", "{env: dev}", {"second"}),
    ],
)
def test_conditions_that_parameters_decide(condition: str, passed: str, expected: set[str]) -> None:
    main = f"steps:\n  - template: steps.yml\n    parameters: {passed}\n"
    assert connections(read(main, steps=STEPS % condition)) == expected


def test_a_default_of_the_pipeline_itself_decides_nothing() -> None:
    assert connections(read(STEPS % "eq(parameters.env, 'prod')")) == {"first", "second"}


EACH = """\
parameters:
  - {name: regions, type: object, default: [a]}
jobs:
  - ${{ each region in parameters.regions }}:
      - job: j
        steps:
          - task: AzureWebApp@1
            inputs: {azureSubscription: 'sc-${{ %s }}', appName: 'shop-${{ %s }}'}
"""


@pytest.mark.parametrize(
    ("passed", "name", "expected"),
    [
        ("{}", "region", {"sc-a"}),
        ("{regions: [weu, neu]}", "region", {"sc-weu", "sc-neu"}),
        ("{regions: [{short: weu}, {short: neu}]}", "region.short", {"sc-weu", "sc-neu"}),
        ("{regions: {weu: 1, neu: 2}}", "region.key", {"sc-weu", "sc-neu"}),
        ("{regions: '${{ variables.list }}'}", "region", {"sc-${{ region }}"}),
    ],
)
def test_lists_that_parameters_hold_are_written_out(passed: str, name: str, expected: set[str]) -> None:
    found = read(f"jobs:\n  - template: jobs.yml\n    parameters: {passed}\n", jobs=EACH % (name, name))
    assert connections(found) == expected


def test_a_list_is_handed_through_two_templates() -> None:
    middle = "parameters: [{name: all, type: object}]\njobs:\n  - template: jobs.yml\n    parameters: {regions: '${{ parameters.all }}'}\n"
    main = "jobs:\n  - template: middle.yml\n    parameters: {all: [weu]}\n"
    assert connections(read(main, middle=middle, jobs=EACH % ("region", "region"))) == {"sc-weu"}


@pytest.mark.parametrize(
    ("value", "severities"),
    [("$(Build.SourceBranchName)", ["high"]), ("$(Build.BuildId)", []), ("fixed", [])],
)
def test_a_branch_name_handed_to_a_script_through_a_parameter(value: str, severities: list[str]) -> None:
    steps = "parameters: [{name: note, type: string}]\nsteps:\n  - script: echo ${{ parameters.note }}\n"
    found = read(f"steps:\n  - template: steps.yml\n    parameters: {{note: {value}}}\n", steps=steps)
    problems = [one for one in found.problems if one.code == "template-injection"]
    assert [one.severity for one in problems] == severities
    assert [found.callers(one.line) for one in problems] == [["azure-pipelines.yml:2"]] * len(severities)


def test_loops_in_loops_end() -> None:
    lines = [f"parameters: [{{name: x, type: object, default: {list(range(50))}}}]", "steps:"]
    lines += ["  " * (2 * level + 1) + f"- ${{{{ each i{level} in parameters.x }}}}:" for level in range(15)]
    lines += ["  " * 31 + f"- script: echo {n}" for n in range(200)]
    found = read("\n".join(lines) + "\n")
    assert found.jobs
