"""GitLab's merge and our own agree on a pipeline and on the origin of its parts.

Pipelines of several files are generated at random. The merge by the simulated GitLab, located in its files, is
compared with what the files give when nobody merged them.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec
import pytest

from collectors.definitions.gitlab.ci import gitlab_pipeline, read_merged
from collectors.definitions.gitlab.tree import IncludedText, IncludeRead, IncludeSource
from sandbox.gitlab import build
from sandbox.gitlab.entities import project
from sandbox.gitlab.lint import lint
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collectors.definitions import Definition
    from collectors.definitions.gitlab.include import Include
    from sandbox.gitlab.instance import Instance
    from sandbox.kit.http import Json

OWN, OTHER = 9100, 9101
ROLE = "arn:aws:iam::111111111111:role/"
FP = Fingerprint(b"test-key")


class Files:
    """Returns the files of an instance: local ones, and those of lantern/pipes."""

    def __init__(self, instance: Instance, *, merged: bool) -> None:
        self._instance = instance
        self._merged = merged

    def files(
        self, includes: Sequence[Include], repository: IncludeSource, *, merged: bool
    ) -> list[list[IncludeRead]]:
        return [[self._file(include, repository)] for include in includes]

    def reported(self) -> list[Include]:
        return []

    def _file(self, include: Include, repository: IncludeSource) -> IncludeRead:
        other = include.kind == "project" or bool(repository.project)
        path = (include.files[0] if include.kind == "project" else include.name).lstrip("/")
        shown = f"{path}@lantern/pipes" if other else path
        text = self._instance.files[f"{OTHER if other else OWN}/{path}"]
        where = IncludeSource(project="lantern/pipes", ref="HEAD") if other else IncludeSource()
        return IncludeRead(
            shown=shown,
            file=IncludedText(repository=where, path=path, shown=shown, text=text),
            merged=self._merged,
        )


class Maker:
    """Makes the files of one pipeline."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._templates: list[str] = []

    def files(self) -> dict[str, str]:
        chance = self._chance
        count = chance.randint(2, 6)
        names = ["9100/.gitlab-ci.yml"]
        names += [f"{chance.choice((OWN, OWN, OTHER))}/ci/f{number}.yml" for number in range(1, count)]
        with_inputs = {name for name in names[1:] if chance.random() < 0.3}
        includes: dict[str, list[str]] = {name: [] for name in names}
        for number in range(1, count):
            above = chance.choice(names[:number])
            # A file of another project does not lead back to this one.
            home = names[0] if names[number].startswith(f"{OWN}/") else above
            includes[home].append(names[number])
        return {name: self._file(name, includes[name], with_inputs) for name in reversed(names)}

    def _file(self, name: str, includes: list[str], with_inputs: set[str]) -> str:
        chance = self._chance
        lines = ["include:"] if includes else []
        for other in includes:
            number, _, path = other.partition("/")
            if name.startswith(f"{number}/"):
                lines.append(f"  - local: {chance.choice(('', '/'))}{path}")
            else:
                lines += ["  - project: lantern/pipes", f"    file: {path}"]
            if other in with_inputs:
                lines += [
                    "    inputs:",
                    f"      place: p{chance.randrange(3)}",
                    f"      role: {ROLE}i{chance.randrange(3)}",
                ]
        if chance.random() < 0.5:
            lines.append("variables:")
            lines += [
                f"  ROLE{number}: {ROLE}r{chance.randrange(5)}" for number in chance.sample(range(4), 2)
            ]
        if chance.random() < 0.3:
            lines += [
                "default:",
                "  before_script:",
                f"    - {self._command()}",
                "  id_tokens:",
                "    T: {aud: a}",
            ]
        for which in range(chance.randint(1, 3)):
            own = f"{name.rpartition('/')[2].partition('.')[0] or 'top'}-{which}"
            job = chance.choice((f".{own}", f"job{chance.randrange(4)}", own))
            if f"{job}:" not in lines:
                lines += self._job(job, name in with_inputs)
        text = "\n".join([*lines, "always: {script: [x]}"]) + "\n"
        if name in with_inputs:
            text = f"spec:\n  inputs:\n    place: {{default: none}}\n    role: {{default: '{ROLE}none'}}\n---\n{text}"
        return text

    def _job(self, job: str, with_inputs: bool) -> list[str]:
        chance = self._chance
        lines = [f"{job}:"]
        if self._templates and chance.random() < 0.6:
            count = min(chance.randint(1, 2), len(self._templates))
            lines.append(f"  extends: [{', '.join(chance.sample(self._templates, count))}]")
        lines += ["  script:", *(f"    - {self._command()}" for _ in range(chance.randint(1, 3)))]
        if self._templates and chance.random() < 0.4:
            lines.append(f"    - !reference [{chance.choice(self._templates)}, script]")
        if chance.random() < 0.4:
            lines.append(
                "  environment: " + ("$[[ inputs.place ]]" if with_inputs else f"e{chance.randrange(4)}")
            )
        if chance.random() < 0.4:
            lines += ["  id_tokens:", "    T: {aud: a}"]
        if chance.random() < 0.4:
            role = "$[[ inputs.role ]]" if with_inputs else f"{ROLE}v{chance.randrange(4)}"
            lines += ["  variables:", f"    ROLE{chance.randrange(3)}: {role}"]
            lines.append(f"    DB_PASSWORD: Hx{chance.randrange(10**9)}Qz")
        if chance.random() < 0.3:
            lines.append(f"  image: i{chance.randrange(3)}:{chance.randrange(3)}")
        if job.startswith("."):
            self._templates.append(job)
        return lines

    def _command(self) -> str:
        number = self._chance.randrange(4)
        return self._chance.choice(
            (
                f"echo step {number}",
                f"./run $VALUE{number} $MY_TOKEN{number}",
                f"aws sts assume-role-with-web-identity --role-arn $ROLE{number} --web-identity-token $T",
                f"aws ecs update-service --cluster c{number} --service s",
            )
        )


def facts(definition: Definition) -> dict[str, set[str]]:
    """Return the facts of a definition, each with file and line."""

    def told(field: str, one: msgspec.Struct, line: int) -> str:
        # A value that several jobs inherit is reported for one of them.
        bare = msgspec.structs.replace(one, line=0, **{"job": None} if field == "hard_coded" else {})
        return f"{definition.where(line)} {msgspec.json.encode(bare).decode()}"

    fields = ("jobs", "logins", "deploys", "problems", "secrets", "variables", "uses", "hard_coded")
    return {field: {told(field, one, one.line) for one in getattr(definition, field)} for field in fields}


@pytest.mark.parametrize("seed", range(150))
def test_both_ways_give_the_same(seed: int) -> None:
    instance = build()
    home = instance.groups[8001]
    for number, name in ((OWN, "shop"), (OTHER, "pipes")):
        instance.projects[number] = project(number, name, home)
    instance.files.update(Maker(seed).files())
    answer: Json = lint(instance, instance.projects[OWN], pushes=True)
    assert answer["errors"] == []
    merged = read_merged(answer["merged_yaml"])
    top = instance.files[f"{OWN}/.gitlab-ci.yml"]
    path = ".gitlab-ci.yml"
    theirs, _ = gitlab_pipeline(path, top, FP, Files(instance, merged=True), owner="lantern", merged=merged)
    ours, _ = gitlab_pipeline(path, top, FP, Files(instance, merged=False), owner="lantern")
    assert facts(theirs) == facts(ours)
    assert theirs.unresolved == ours.unresolved == []
    assert ours.jobs
