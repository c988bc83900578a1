"""Where the next page of a list begins, and which objects a selector keeps.

https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
"""

from __future__ import annotations

import base64
import binascii
import bisect
import json
from typing import TYPE_CHECKING, Any

from sandbox.kit.http import RefusedError

if TYPE_CHECKING:
    from sandbox.kit.http import Json

_PLACES = {"metadata.name": ("metadata", "name"), "metadata.namespace": ("metadata", "namespace"), "type": ("type",),
           "spec.nodeName": ("spec", "nodeName"), "spec.serviceAccountName": ("spec", "serviceAccountName"),
           "status.phase": ("status", "phase")}  # fmt: skip
"""What a ``fieldSelector`` may name."""


class ExpiredError(Exception):
    """A token's resource version is gone."""


def token_of(version: int, after: tuple[str, str]) -> str:
    """Return the token of everything after a key. A version of -1 stands for whatever is newest."""
    start = "/".join(part for part in after if part) + "\0"
    document = {"v": "meta.k8s.io/v1", "rv": version, "start": start, "sandbox": list(after)}
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def position_of(token: str) -> tuple[int, tuple[str, str]]:
    """Return the resource version of a token, and the key after which it continues."""
    try:
        document = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, name = document["sandbox"]
        return int(document["rv"]), (str(namespace), str(name))
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise RefusedError(400, "continue key is not valid: illegal base64 data") from None


def place_after(rows: list[Json], after: tuple[str, str]) -> int:
    """Return the place of the first row behind a key."""
    return bisect.bisect_right(
        rows, after, key=lambda row: (row["metadata"].get("namespace", ""), row["metadata"]["name"])
    )


def is_selected(row: Json, query: dict[str, str]) -> bool:
    """Return whether ``fieldSelector`` and ``labelSelector`` keep an object. Raises `RefusedError` 400 for another field."""
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        place, _, value = term.partition("=")
        unequal = place.endswith("!")
        if place.rstrip("!") not in _PLACES:
            raise RefusedError(400, f"field label not supported: {place.rstrip('!')}")
        found: Any = row
        for key in _PLACES[place.rstrip("!")]:
            found = found.get(key) if isinstance(found, dict) else None
        if (str(found or "") == value.removeprefix("=")) is unequal:
            return False
    labels = row["metadata"].get("labels", {})
    for term in filter(None, query.get("labelSelector", "").split(",")):
        name, equals, value = term.partition("=")
        if not equals:
            met = name.lstrip("!") in labels
            wanted = not name.startswith("!")
        else:
            met = labels.get(name.rstrip("!")) == value.removeprefix("=")
            wanted = not name.endswith("!")
        if met is not wanted:
            return False
    return True
