"""What pydantic finds invalid in config.yaml, in the words of the file."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from scanner.document import Document, Where, nearest

_TYPE_ERRORS = {
    "string_type": "must be text; put it in quotes",
    "list_type": "must be a list, such as [a, b]",
    "tuple_type": "must be a list, such as [a, b]",
    "dict_type": "must be a mapping of keys and values",
    "model_type": "must be a mapping of keys and values",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "path_type": "must be a path in quotes",
    "uuid_type": "must be an ID such as 00000000-0000-0000-0000-000000000000",
    "uuid_parsing": "must be an ID such as 00000000-0000-0000-0000-000000000000",
}
"""What pydantic says of types, in the words of the file."""


def invalid_places(
    document: Document, model: type[BaseModel], prefix: Where, found: ValidationError
) -> list[str]:
    """Return one line for each invalid place, however many alternatives pydantic tried."""
    places: dict[Where, list[str]] = {}
    for error in found.errors():
        where = _place(document.value, (*prefix, *error["loc"]), missing=error["type"] == "missing")
        if error["type"] == "extra_forbidden":
            what = f"unknown key; {nearest(str(where[-1]), _known_keys(model, where[len(prefix) : -1]))}"
        elif error["type"] == "missing":
            what = "is missing; add it"
        else:
            what = _TYPE_ERRORS.get(error["type"]) or error["msg"].removeprefix("Value error, ").replace(
                "Input should be", "must be"
            )
        places.setdefault(where, []).append(what)
    return [document.problem(where, " or ".join(dict.fromkeys(what))) for where, what in places.items()]


def _place(value: Any, loc: Where, *, missing: bool) -> Where:
    """Return the keys of a pydantic location, without the names of validators and alternatives."""
    where: list[str | int] = []
    for number, part in enumerate(loc):
        keys = {str(key): key for key in value} if isinstance(value, dict) else {}
        if isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif str(part) in keys:
            value = value[keys[str(part)]]
        elif not (missing and number == len(loc) - 1):
            continue
        where.append(part)
    return tuple(where)


def _known_keys(model: type[BaseModel], where: Where) -> list[str]:
    """Return the valid keys at a place of a model."""
    current = model
    for part in where:
        field = current.model_fields.get(str(part))
        if field is not None:
            kinds = [field.annotation, *get_args(field.annotation)]
            current = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return list(current.model_fields)
