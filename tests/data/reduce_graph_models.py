"""Makes entra-graph-fields.json of the wheels of msgraph-sdk and msgraph-beta-sdk, which are too large to depend on.

    pip download --no-deps msgraph-sdk msgraph-beta-sdk
    python tests/data/reduce_graph_models.py msgraph_sdk-*.whl msgraph_beta_sdk-*.whl > tests/data/entra-graph-fields.json

Kept are the models of the routes that the sandbox serves and what they lead to, and of each the fields that the sandbox
or the collector names.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STABLE = [
    "service_principal",
    "application",
    "o_auth2_permission_grant",
    "unified_role_assignment",
    "organization",
    "group",
    "user",
    "unified_role_eligibility_schedule_instance",
    "unified_role_assignment_schedule_instance",
    "administrative_unit",
    "directory_audit",
    "domain",
    "risky_service_principal",
    "internal_domain_federation",
    "cross_tenant_access_policy_configuration_default",
    "cross_tenant_access_policy_configuration_partner",
    "permission_grant_policy",
    "app_management_policy",
    "authorization_policy",
    "tenant_app_management_policy",
]
BETA = [
    "application",
    "service_principal",
    "agent_identity",
    "agent_identity_blueprint_principal",
    "agent_user",
    "user",
    "group",
    "service_principal_sign_in_activity",
    "app_credential_sign_in_activity",
    "unified_role_definition",
    "conditional_access_policy",
    "app_role_assignment",
    "o_auth2_permission_grant",
    "privileged_access_group_eligibility_schedule_instance",
    "privileged_access_group_assignment_schedule_instance",
    "federated_identity_credential",
]
PLAIN = {
    "str_value": "string",
    "uuid_value": "string",
    "bytes_value": "string",
    "bool_value": "boolean",
    "datetime_value": "time",
    "int_value": "integer",
    "timedelta_value": "duration",
}


def words() -> set[str]:
    """Return every text in the source of the sandbox, the collector and its tests: names of fields among them."""
    files = [
        *ROOT.glob("sandbox/entra/*.py"),
        *ROOT.glob("collectors/entra/**/*.py"),
        ROOT / "tests/test_entra.py",
    ]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    return {*re.findall(r'"([A-Za-z0-9@.]+)"', text), "owners", "principal", "sponsors", "memberOf"}


def snake(name: str) -> str:
    """Return the module of a model: ``unified_role_definition``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def type_of(call: str) -> Any:
    """Return the type that a call of the SDK's deserializer reads."""
    match = re.match(r"get_(\w+)\((.*)\)", call)
    assert match, call
    what, of = match[1], match[2].strip("() ")
    match what:
        case "object_value":
            return snake(of)
        case "collection_of_object_values":
            return [snake(of)]
        case "collection_of_primitive_values":
            return ["string"]
        case "enum_value":
            return f"enum {snake(of)}"
        case "collection_of_enum_values":
            return [f"enum {snake(of)}"]
        case _:
            return PLAIN[what]


class Models:
    """The models of one wheel."""

    def __init__(self, wheel: str) -> None:
        self._archive = zipfile.ZipFile(wheel)
        first = next(name for name in self._archive.namelist() if "/generated/models/" in name)
        self._folder = first.partition("/generated/")[0] + "/generated/models"
        self._words = words()

    def source(self, model: str) -> str:
        """Return the module of a model."""
        return self._archive.read(f"{self._folder}/{model.replace('b2_b', 'b2b')}.py").decode()

    def reduced(self, roots: list[str]) -> dict[str, Any]:
        """Return the models that these lead to, and the values of their enumerations."""
        models: dict[str, Any] = {}
        enums: dict[str, list[str]] = {}
        left = list(roots)
        while left:
            model = left.pop(0)
            if model in models:
                continue
            text = self.source(model)
            parent = re.search(r"^class \w+\((\w+)", text, re.MULTILINE)
            base = parent[1] if parent else ""
            body = text.partition("def get_field_deserializers")[2].partition("super_fields")[0]
            calls = re.findall(
                r'"([^"]+)": lambda n : setattr\(self, \'[^\']+\', n\.(get_.*)\),?$', body, re.MULTILINE
            )
            fields = {name: type_of(call) for name, call in calls if name in self._words}
            models[model] = {"fields": fields}
            if base not in {"AdditionalDataHolder", "Parsable"}:
                models[model]["base"] = snake(base)
                left.append(snake(base))
            for found in fields.values():
                inner = found[0] if isinstance(found, list) else found
                if inner.startswith("enum "):
                    values = re.findall(r'^    \w+ = "([^"]*)"', self.source(inner[5:]), re.MULTILINE)
                    enums[inner[5:]] = values
                elif inner not in PLAIN.values():
                    left.append(inner)
        return {"models": models, "enums": enums}


def lines(part: dict[str, Any]) -> str:
    """Return an object as JSON with a line for each of its fields."""
    inner = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(part[name], sort_keys=True)}" for name in sorted(part)
    )
    return f"{{\n{inner}\n}}"


def main(stable: str, beta: str) -> None:
    """Print the file."""
    sys.stdout.write('{\n"source": ' + json.dumps(
        f"Fields and types of the models in {Path(stable).name} (v1.0) and {Path(beta).name} (beta), MIT, "
        "https://pypi.org/project/msgraph-sdk/, https://pypi.org/project/msgraph-beta-sdk/"
    ))  # fmt: skip
    for version, wheel, roots in (("v1.0", stable, STABLE), ("beta", beta, BETA)):
        found = Models(wheel).reduced(roots)
        sys.stdout.write(
            f',"{version}": {{"models": {lines(found["models"])},\n"enums": {lines(found["enums"])}}}\n'
        )
    sys.stdout.write("}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
