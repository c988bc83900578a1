"""The possible variables of a GitLab job: from the pipeline, its rules, the job and its matrix.

https://docs.gitlab.com/ci/yaml/#variables, https://docs.gitlab.com/ci/yaml/#rulesvariables,
https://docs.gitlab.com/ci/yaml/#parallelmatrix. Rules are not evaluated: each rule that sets variables gives one
possible set.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from collectors.definitions.yaml_nodes import Mapping, Scalar, Sequence, boolean, items, mapping, text, texts

if TYPE_CHECKING:
    from collectors.definitions.builder import DefinitionBuilder
    from collectors.definitions.yaml_nodes import Node

MOST = 40
"""Maximum sets of variables evaluated for a job."""
MOST_RULES = 500


def variable_sets(
    out: DefinitionBuilder,
    job: Mapping,
    name: str,
    *,
    workflow: Mapping,
    variables: dict[str, str],
    most: int,
) -> list[dict[str, str]]:
    """Return the possible sets of variables of a job, at least one, and evaluate their values. If there are more than
    ``most``, the last set has only the variables common to all; the others stay unknown.
    """
    inherited = mapping(job.get("inherit")).get("variables")
    if inherited is not None and boolean(inherited) is not True:
        kept = texts(inherited)
        variables = {key: value for key, value in variables.items() if key in kept}
    own = out.values(job.get("variables"), name)
    pipeline = [{}] if boolean(inherited) is False else _by_rules(out, workflow.get("rules"), None)
    ruled = _by_rules(out, job.get("rules"), name)
    matrix = _matrix(out, job, name)
    runs = itertools.islice(itertools.product(pipeline, ruled, matrix), most + 1)
    found = [variables | above | own | rule | run for above, rule, run in runs]
    if len(found) <= most:
        return found
    differing = {key for way in (*pipeline, *ruled, *matrix) for key in way}
    common = {key: value for key, value in (variables | own).items() if key not in differing}
    return [*found[: most - 1], common]


def _by_rules(out: DefinitionBuilder, rules: Node | None, job: str | None) -> list[dict[str, str]]:
    """Return the variables of each rule by which a job runs; an empty set if a rule sets none."""
    found: list[dict[str, str]] = []
    for rule in flat(rules):
        settings = mapping(rule)
        if text(settings.get("when")) == "never":
            continue
        values = out.values(settings.get("variables"), job)
        if values not in found:
            found.append(values)
    return found or [{}]


def _matrix(out: DefinitionBuilder, job: Mapping, name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for entry in items(mapping(job.get("parallel")).get("matrix")):
        keys = [key.text for key, _ in mapping(entry).pairs]
        values = [
            [one for one in items(value) if isinstance(one, Scalar)] for _, value in mapping(entry).pairs
        ]
        for key, scalars in zip(keys, values, strict=True):
            for scalar in scalars:
                out.value(key, scalar, name)
        runs = itertools.islice(itertools.product(*values), MOST + 1)
        found += [{key: scalar.text for key, scalar in zip(keys, run, strict=True)} for run in runs]
    return found[: MOST + 1] or [{}]


def flat(rules: Node | None) -> list[Node]:
    """Return rules, including those in nested lists."""
    found: list[Node] = []
    waiting = list(reversed(items(rules)))
    while waiting and len(found) < MOST_RULES:
        rule = waiting.pop()
        if isinstance(rule, Sequence):
            waiting += reversed(rule.items)
        else:
            found.append(rule)
    return found
