"""Short functions for policy and trust documents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    Document: TypeAlias = Mapping[str, Any]


def allow(action: str | list[str], resource: str | list[str] = "*", **condition: Any) -> dict[str, Any]:
    """Return an Allow statement; conditions by operator: ``StringEquals={...}``."""
    statement: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})


def policy(*statements: Document) -> str:
    """Return a policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal: Any, action: str | list[str] = "sts:AssumeRole", **condition: Any) -> str:
    """Return a trust policy with one statement; conditions by operator."""
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": principal, "Action": action}
    return policy(statement | ({"Condition": condition} if condition else {}))


def service_trust(service: str) -> str:
    """Return the trust policy of a role that an AWS service runs with."""
    if service == "pods.eks":
        return trust({"Service": "pods.eks.amazonaws.com"}, ["sts:AssumeRole", "sts:TagSession"])
    return trust({"Service": f"{service}.amazonaws.com"})
