"""The simulated Azure answers in the shapes of Microsoft's own models, and of the rows of Resource Graph.

The models are those of azure-mgmt-authorization. What a model does not know fails, save what newer API versions add
(https://learn.microsoft.com/rest/api/authorization/); so does a row without what every row of its table has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from azure.mgmt.authorization.v2020_10_01 import models as schedules
from azure.mgmt.authorization.v2022_04_01 import models as roles

from sandbox.azure.company import build

if TYPE_CHECKING:
    from collections.abc import Iterator

TENANT = build(1)
NEWER = {
    # In the role definitions of 2022-05-01-preview and the deny assignments of 2024-07-01-preview.
    "RoleDefinition": {"properties.permissions[].condition", "properties.permissions[].conditionVersion"},
    "DenyAssignment": {
        "properties.denyAssignmentEffect",
        "properties.permissions[].condition",
        "properties.permissions[].conditionVersion",
    },
}
LISTS = {
    "denyAssignments": roles.DenyAssignment,
    "roleEligibilityScheduleInstances": schedules.RoleEligibilityScheduleInstance,
    "roleAssignmentScheduleInstances": schedules.RoleAssignmentScheduleInstance,
    "roleManagementPolicyAssignments": schedules.RoleManagementPolicyAssignment,
}
TABLE = {
    "microsoft.authorization/roleassignments": roles.RoleAssignment,
    "microsoft.authorization/roledefinitions": roles.RoleDefinition,
}


def leaves(value: Any, place: str = "") -> Iterator[str]:
    """Yield the places of a JSON value's fields."""
    match value:
        case dict():
            for key, item in value.items():
                here = f"{place}.{key}".lstrip(".")
                yield here
                yield from leaves(item, here)
        case list():
            for item in value:
                yield from leaves(item, f"{place}[]")
        case _:
            pass


def unlike(model: Any, row: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Return the fields of a row that the model does not know, and those of the model that the row lacks."""
    read = model.deserialize(row)
    again = read.serialize(keep_readonly=True)
    given, known = set(leaves(row)), set(leaves(again))
    filled = {place for place in given if value_at(row, place) not in (None, [], {})}
    names = {entry["key"].replace("\\.", ".") for entry in model._attribute_map.values()}
    return filled - known - NEWER.get(model.__name__, set()), names - given


def value_at(row: Any, place: str) -> Any:
    for key in place.split("."):
        name, many = key.removesuffix("[]"), key.endswith("[]")
        if isinstance(row, list):
            row = row[0] if row else None
        row = row.get(name) if isinstance(row, dict) else None
        if many and isinstance(row, list):
            row = row[0] if row else None
    return row


def rows() -> Iterator[tuple[Any, dict[str, Any]]]:
    for row in TENANT.authorizationresources:
        yield TABLE[row["type"]], row
    for path, listed in TENANT.lists.items():
        model = next((one for name, one in LISTS.items() if path.endswith(name.lower())), None)
        if model is not None:
            yield from ((model, row) for row in listed)


def test_every_model_is_met() -> None:
    assert {model for model, _ in rows()} == {*LISTS.values(), *TABLE.values()}


@pytest.mark.parametrize("name", [*(one.__name__ for one in (*LISTS.values(), *TABLE.values()))])
def test_a_row_has_the_fields_of_its_model_and_no_others(name: str) -> None:
    for model, row in rows():
        if model.__name__ == name:
            unknown, missing = unlike(model, row)
            assert unknown == set()
            # What an answer may lack: what is only there when it is asked for.
            assert missing <= {"properties.expandedProperties", "properties.policyAssignmentProperties"}, row


def test_a_field_that_no_model_knows_is_noticed() -> None:
    row = next(row for model, row in rows() if model is roles.RoleAssignment)
    changed = {**row, "properties": {**row["properties"], "grantedBy": "x"}}
    del changed["properties"]["principalId"]
    assert unlike(roles.RoleAssignment, changed) == ({"properties.grantedBy"}, {"properties.principalId"})


# https://learn.microsoft.com/azure/governance/resource-graph/samples/starter : the columns of the table.
RESOURCE = {
    "id", "name", "type", "tenantId", "kind", "location", "resourceGroup", "subscriptionId", "managedBy", "sku", "plan",
    "properties", "tags", "identity", "zones", "extendedLocation",
}  # fmt: skip


def test_rows_of_resources_have_the_columns_of_the_table() -> None:
    for row in TENANT.resources:
        assert set(row) == RESOURCE
        assert row["type"] == row["type"].lower()
        kind, name = row["id"].partition("/providers/")[2].rsplit("/", 1)
        assert (kind.lower(), name) == (row["type"], row["name"])


def test_ids_of_lists_stand_below_the_place_where_they_are_listed() -> None:
    for path, listed in TENANT.lists.items():
        for row in listed:
            assert row["id"].lower().rpartition("/")[2] == row["name"].lower()
            if not any(path.endswith(name.lower()) for name in LISTS):
                assert row["id"].lower().rpartition("/")[0] == path
