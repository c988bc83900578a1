"""The ClusterRole that the collector asks for: enough for every list, and no right to read a Secret."""

from __future__ import annotations

from typing import Any

import yaml

import collectors.kubernetes
from collectors.kubernetes.cluster_role import BUILT_IN, CUSTOM
from collectors.kubernetes.evaluator.rules import allowed, rules_of


def manifests() -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all(collectors.kubernetes.permissions())}


def test_the_role_lists_what_is_read_and_no_secrets() -> None:
    role = manifests()["ClusterRole"]
    rules = rules_of(role["rules"])
    wanted = {one for several in (*BUILT_IN, *CUSTOM) for one in several.values() if one.name != "secrets"}
    assert len(wanted) > 35
    for one in wanted:
        assert any(rule.covers("list", f"{one.group or 'core'}/{one.name}") for rule in rules), one.title
        assert not any(rule.covers("get", f"{one.group or 'core'}/{one.name}") for rule in rules), one.title
    assert not any(rule.covers("list", "core/secrets") for rule in rules)


def test_the_role_gives_no_more_than_reading() -> None:
    found = allowed(rules_of(manifests()["ClusterRole"]["rules"]))
    assert set(found.powers) == {"read"}


def test_the_binding_and_the_account_fit_together() -> None:
    found = manifests()
    account = found["ServiceAccount"]
    binding = found["ClusterRoleBinding"]
    assert binding["roleRef"]["name"] == found["ClusterRole"]["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", **account["metadata"]}]
    assert account["automountServiceAccountToken"] is False
