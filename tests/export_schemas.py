"""The published schemas of the machine exports, and what validates against them."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

SCHEMAS = Path(__file__).parent / "data" / "schemas"

OCSF = {2003: "compliance_finding", 2007: "application_security_posture_finding", 2008: "iam_analysis_finding", 5003: "user_inventory"}  # fmt: skip

_VALUE = {
    "anyOf": [
        {"type": ["string", "number", "boolean"]},
        *({"type": "array", "items": {"type": kind}} for kind in ("string", "number", "boolean")),
    ]
}
_PROPERTIES = {"type": "object", "additionalProperties": _VALUE, "propertyNames": {"pattern": "^(?!objectid$)[a-z0-9_]+$"}}  # fmt: skip
_ENDPOINT = {
    "type": "object",
    "required": ["value"],
    "additionalProperties": False,
    "properties": {"match_by": {"const": "id"}, "value": {"type": "string"}, "kind": {"type": "string"}},
}
OPENGRAPH = {
    "type": "object",
    "required": ["graph"],
    "additionalProperties": False,
    "properties": {
        "metadata": {"type": "object", "additionalProperties": False, "properties": {"source_kind": {"type": ["string", "null"]}}},
        "graph": {
            "type": "object",
            "required": ["nodes", "edges"],
            "additionalProperties": False,
            "properties": {
                "nodes": {"type": "array", "items": {
                    "type": "object", "required": ["id", "kinds"], "additionalProperties": False,
                    "properties": {
                        "id": {"type": "string"},
                        "kinds": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
                        "properties": _PROPERTIES,
                    },
                }},
                "edges": {"type": "array", "items": {
                    "type": "object", "required": ["start", "end", "kind", "properties"], "additionalProperties": False,
                    "properties": {
                        "start": _ENDPOINT, "end": _ENDPOINT, "properties": _PROPERTIES,
                        "kind": {"type": "string", "pattern": "^[A-Za-z0-9_]+$"},
                    },
                }},
            },
        },
    },
}  # fmt: skip
"""The constraints of BloodHound's generic ingest: github.com/SpecterOps/BloodHound, node.json, edge.json and metadata.json in
cmd/api/src/services/upload/jsonschema, narrowed to matching by id and to the property names that its documentation asks for."""

JUNIT: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": ({"testsuite"}, set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
        {"name", "tests", "failures", "errors"},
        {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
    ),
    "testcase": (
        {"skipped", "error", "failure", "system-out", "system-err"}, {"name"}, {"name", "time", "classname", "group"},
    ),
    "properties": ({"property"}, set(), set()),
    "property": (set(), {"name", "value"}, {"name", "value"}),
    "failure": (set(), set(), {"type", "message"}),
    "error": (set(), set(), {"type", "message"}),
    "skipped": (set(), set(), {"type", "message"}),
    "system-out": (set(), set(), set()),
}  # fmt: skip
"""Elements of Jenkins' junit-10.xsd (github.com/jenkinsci/xunit-plugin, src/main/resources/org/jenkinsci/plugins/xunit/types/
model/xsd): allowed children, required attributes, allowed attributes."""


@cache
def published(name: str) -> Any:
    """Return a validator for a schema of the folder."""
    schema = json.loads(gzip.decompress((SCHEMAS / f"{name}.json.gz").read_bytes()))
    return jsonschema.validators.validator_for(schema)(schema)


def problems(validator: Any, document: Any) -> list[str]:
    return [f"{list(one.absolute_path)}: {one.message[:200]}" for one in validator.iter_errors(document)]


def ocsf_problems(event: dict[str, Any]) -> list[str]:
    """Return what the schema of the event's class refuses, and what no schema says: the type is class and activity."""
    name = f"ocsf-1.8.0-{OCSF[event['class_uid']]}{'-cloud' if 'cloud' in event else ''}"
    found = problems(published(name), event)
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        found.append("type_uid")
    if ("cloud" in event) != ("cloud" in event["metadata"].get("profiles", [])):
        found.append("profiles")
    return found


def opengraph_problems(document: Any) -> list[str]:
    return problems(jsonschema.Draft202012Validator(OPENGRAPH), document)


def junit_problems(element: Element) -> Iterator[str]:
    children, required, allowed = JUNIT[element.tag]
    if not required <= set(element.attrib) <= allowed:
        yield f"{element.tag}: {sorted(element.attrib)}"
    for child in element:
        if child.tag not in children:
            yield f"{child.tag} in {element.tag}"
        else:
            yield from junit_problems(child)
