"""The escalation paths of ``escalation.yaml``, read once."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Literal

import msgspec

from collectors.aws.evaluator.actions import catalog
from scanner.yaml_data import read_yaml

Coverage = Literal[
    "self", "own-policy", "own-group", "target", "policy-of-target", "other-user", "compute", "saml-provider",
    "oidc-provider", "role", "user", "anything",
]  # fmt: skip
Target = Literal[
    "self", "nothing", "role", "user", "group", "assumed-role", "assumable-role", "any-role", "any-user",
    "federated-role", "dangling-federated-role", "compute",
]  # fmt: skip


TAGGING = ("iam:TagUser", "iam:UntagUser", "iam:TagRole", "iam:UntagRole")
"""Actions that set tags: a condition on a tag does not limit a principal that may set it."""


class EscalationStep(msgspec.Struct, frozen=True, kw_only=True):
    """One permission of a path."""

    actions: tuple[str, ...]
    """Alternative actions, any of which is sufficient."""
    covers: Coverage
    """The resource that it must be allowed on."""
    mask: int
    """The alternatives as an action set."""


class EscalationPath(msgspec.Struct, frozen=True, kw_only=True):
    """One way to more permissions."""

    id: str
    family: str
    target: Target
    steps: tuple[EscalationStep, ...]
    reference: str
    services: tuple[str, ...] = ()
    """Service principals, one of which the target's role must trust."""
    compute: str | None = None
    """The kind of existing compute that is used."""
    arn: str | None = None
    """Its ARN, with ``{partition}``, ``{account}`` and ``{name}``."""
    holder: str | None = None
    """``user`` or ``role``."""
    requires: str | None = None
    prerequisite: str | None = None


@functools.cache
def paths() -> tuple[EscalationPath, ...]:
    """Read the paths, shortest first."""
    raw = read_yaml(Path(__file__).parent / "escalation.yaml")
    kinds = raw["compute"]
    found = []
    for item in raw["paths"]:
        kind = item.get("compute")
        services = item.get("service") or (kinds[kind]["service"] if kind else "")
        found.append(
            EscalationPath(
                id=item["id"],
                family=item["family"],
                target=item["target"],
                steps=tuple(_step(names, covers) for names, covers in item["actions"].items()),
                reference=item["reference"],
                services=tuple(filter(None, services.split("|"))),
                compute=kind,
                arn=kinds[kind]["arn"] if kind else None,
                holder=item.get("holder"),
                requires=item.get("requires"),
                prerequisite=item.get("prerequisite"),
            )
        )
    return tuple(sorted(found, key=lambda path: len(path.steps)))


def _step(names: str, covers: Coverage) -> EscalationStep:
    actions = tuple(names.split("|"))
    return EscalationStep(actions=actions, covers=covers, mask=catalog().of(actions))


@functools.cache
def interesting() -> int:
    """Return the set of actions used in any path."""
    found = 0
    for path in paths():
        for step in path.steps:
            found |= step.mask
    return found | tagging()


@functools.cache
def tagging() -> int:
    """Return the set of actions that change the tags of a user or role, which conditions may use."""
    return catalog().of(TAGGING)


@functools.cache
def assume_role() -> EscalationPath:
    """Return the path that assumes a role."""
    return next(path for path in paths() if path.target == "assumed-role")


def implied(longer: EscalationPath, shorter: EscalationPath) -> bool:
    """Return whether a path includes another: everyone who can use the longer one can use the shorter one."""
    return all(any(step.mask & other.mask for other in longer.steps) for step in shorter.steps)
