"""A path as nodes and the ways between them, for pictures and lists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from reports.html.labels import POWER_NAMES, kind_label
from scanner.safe_text import NAME, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_NODES = 7
"""Longer paths leave out the tokens and stored secrets that have a node of their own."""


class Node(NamedTuple):
    """One station of a path."""

    kind: str
    name: str
    via: str = ""
    """How it is reached from the station before."""
    power: str = ""
    """At the end of a path: the power."""


class Chain(NamedTuple):
    """The stations of a path, and where it is cut."""

    nodes: list[Node]
    cut: int | None = None
    """The index of the station after which it is cut."""


_WAYS = {
    "trust": "OIDC federation",
    "trust-pattern": "OIDC federation (some runs)",
    "uses": "uses",
    "holds-key": "signs in with it",
    "runs_as": "runs as",
    "member_of": "member of",
    "escalation": "escalates into",
}


def pipeline_chain(row: Mapping[str, Any], places: Mapping[str, str]) -> Chain:
    """Return the path of a pipeline to its excess. ``places`` are names of accounts and subscriptions by native id."""
    location = row["pipeline_location"] or ""
    file = location.rpartition(":")[0].rpartition("/")[2] or location.rpartition("/")[2]
    start = [
        Node(kind_label(row["account_kind"] or "account"), _name(row["account_name"] or row["pipeline_account"])),
        Node(kind_label(row["pipeline_kind"] or "pipeline"), _name(file or row["pipeline_short"] or row["pipeline_name"]), "defines"),
    ]  # fmt: skip
    short = len(row["path"]) + len(start) > MOST_NODES - 1
    return _chain(start, row["path"], row["cut"], places, row["holder_account"], brief=short)


def workload_chain(row: Mapping[str, Any], places: Mapping[str, str]) -> Chain:
    """Return the path of a workload to its own strongest power, and all of its powers at the end of it."""
    start = [Node(kind_label(row["workload_kind"] or "workload"), _name(row["workload_name"]), "deploys")]
    chain = _chain(start, row["workload_path"], None, places, row["workload_account_name"], brief=True)
    if row["workload_path"]:
        last = chain.nodes[-1]
        powers = [POWER_NAMES[power] for power in row["workload_powers"]]
        chain.nodes[-1] = last._replace(power=", ".join(powers[:3]) + (" …" if len(powers) > 3 else ""))
    return chain


def _chain(
    nodes: list[Node],
    path: Sequence[Mapping[str, Any]],
    cut: int | None,
    places: Mapping[str, str],
    account: str | None,
    *,
    brief: bool,
) -> Chain:
    at: int | None = None
    for number, step in enumerate(path):
        way = _WAYS.get(step["kind"], step["kind"])
        given = plain(step["via"], NAME) if step["via"] else ""
        match step["kind"]:
            case "trust" | "trust-pattern" if given and not brief:
                nodes.append(Node("Token", given, "requests"))
            case "trust" | "trust-pattern" if not given:
                way = "trusted by"
            case "holds-key" if given and not brief:
                nodes.append(Node("Stored secret", given, "reads"))
            case "escalation" | "grant" if given:
                way = given
            case _ if given:
                way = f"{way}: {given}"
            case _:
                pass
        if number == cut:
            at = len(nodes) - 1
        name, kind = step["name"] or "", step["identity_kind"]
        if step["kind"] == "grant":
            power = POWER_NAMES.get(step["power"] or "", "")
            nodes.append(Node("Resource", resource_name(name, places, account), way, power))
        else:
            nodes.append(Node(kind_label(kind or "identity"), _name(name), way))
    return Chain(nodes, at)


def _name(text: str) -> str:
    return plain(text, NAME)


def resource_name(resource: str, places: Mapping[str, str], account: str | None) -> str:
    """Return a resource in short form: the account for ``*``, the service and name of an ARN, the end of a long path."""
    if resource == "*":
        return f"everything in {plain(account, NAME)}" if account else "everything in the account"
    if found := re.match(r"arn:[^:]*:([a-z0-9-]+):[^:]*:[^:]*:(.+)$", resource):
        return plain(f"{found[1]}: {found[2]}", NAME)
    parts = [part for part in resource.split("/") if part]
    if len(parts) > 1 and resource.startswith("/"):
        known = places.get(parts[1])
        if len(parts) == 2:
            return f"everything in {plain(known, NAME)}" if known else plain(parts[1], NAME)
        return plain(f"{parts[-2]}: {parts[-1]}" + (f" in {known}" if known else ""), NAME)
    return plain(resource, NAME)
