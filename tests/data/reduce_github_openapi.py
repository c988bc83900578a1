"""Cuts GitHub's OpenAPI description down to the operations that the sandbox answers, as JSON Schema.

The full description is MIT-licensed (Copyright (c) 2020 Octokit contributors, https://github.com/octokit/openapi)
and 13 MB big; what is kept here is under the same license:

    npm pack @octokit/openapi@23.0.2 && tar xzf octokit-openapi-*.tgz
    python tests/data/reduce_github_openapi.py package/generated

writes ``tests/data/github-openapi.json.gz``: the answers of each operation, the schemas that they refer to, and
which of the paths Enterprise Server 3.19 and github.com without Enterprise Cloud do not have. Texts are dropped,
``nullable`` is written as JSON Schema; one answer that GitHub describes wrongly is put right.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

from sandbox.github.server import ROUTES, TOKEN_ROUTE

TARGET = Path(__file__).parent / "github-openapi.json.gz"
CORRECTED = {
    # The description wants the account to be a person and an enterprise at once, and every App suspended.
    "GET /app/installations": {
        "200": {"type": "array", "items": {"$ref": "#/components/schemas/installation"}}
    }
}
TEXTS = {"description", "title", "example", "examples", "externalDocs", "deprecated", "default"}


def plain(schema: Any, *, properties: bool = False) -> Any:
    """Return a schema as JSON Schema: no texts, no vendor extensions, ``null`` as a type. ``properties``: the keys are
    names, not keywords.
    """
    if isinstance(schema, list):
        return [plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if properties:
        return {name: plain(one) for name, one in schema.items()}
    written = {
        key: value if key in {"enum", "required"} else plain(value, properties=key == "properties")
        for key, value in schema.items()
        if key not in TEXTS and not key.startswith("x-") and key != "nullable"
    }
    if schema.get("nullable"):
        return {"anyOf": [written, {"type": "null"}]}
    return written


def references(schema: Any) -> set[str]:
    """Return the names of the components that a schema refers to."""
    match schema:
        case {"$ref": str(reference)}:
            return {reference.rpartition("/")[2]}
        case dict():
            return set().union(*map(references, schema.values()))
        case list():
            return set().union(*map(references, schema))
    return set()


def answers(operation: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas of an operation's successful answers, by status."""
    found = {}
    for status, response in operation["responses"].items():
        known = response
        if "$ref" in known:
            known = components["responses"][known["$ref"].rpartition("/")[2]]
        content = known.get("content", {}).get("application/json")
        if status in {"200", "201"} and content:
            found[status] = plain(content["schema"])
    return found


def reduce(folder: Path) -> dict[str, Any]:
    """Return what is kept of the descriptions in the package's ``generated`` folder."""
    everything = json.loads((folder / "ghec.json").read_text())
    paths = {f"{route.method} {route.template}" for route in ROUTES} | {
        f"POST {TOKEN_ROUTE}",
        "GET /rate_limit",
    }
    operations = {}
    for name in sorted(paths):
        method, _, path = name.partition(" ")
        operations[name] = CORRECTED.get(name) or answers(
            everything["paths"][path][method.lower()], everything["components"]
        )
    schemas: dict[str, Any] = {}
    pending = references(operations)
    while pending:
        name = pending.pop()
        if name not in schemas:
            schemas[name] = plain(everything["components"]["schemas"][name])
            pending |= references(schemas[name])
    missing = {}
    for edition, file in (("ghes", "ghes-3.19.json"), ("team", "api.github.com.json")):
        known = json.loads((folder / file).read_text())["paths"]
        missing[edition] = sorted(name for name in paths if name.partition(" ")[2] not in known)
    return {
        "source": "npm @octokit/openapi 23.0.2, ghec.json; MIT, Copyright (c) 2020 Octokit contributors",
        "operations": operations,
        "missing": missing,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


if __name__ == "__main__":
    text = json.dumps(reduce(Path(sys.argv[1])), separators=(",", ":"), sort_keys=True)
    TARGET.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
