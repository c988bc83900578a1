"""config.yaml -> validated settings."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue

_REFERENCE = re.compile(r"\A\$\{(env|file):([^}]+)\}\Z")


class Section(BaseModel):
    """A part of config.yaml: unknown keys are refused, values do not change, each field has a description."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class SecretMissingError(ValueError):
    """A secret that config.yaml refers to is not there. Names the reference, never a value."""


class SecretRef:
    """Where a secret is: ``${env:NAME}`` or ``${file:/path}``. The value is read at use and kept nowhere."""

    def __init__(self, reference: str) -> None:
        match = _REFERENCE.match(reference)
        if match is None:
            raise ValueError("must be ${env:NAME} or ${file:/path}: secrets do not stand in config.yaml")
        self.reference = reference
        self._kind, self._where = match.groups()

    def read(self) -> str:
        """Return the value, stripped. Raises `SecretMissingError`."""
        if self._kind == "env":
            value = os.environ.get(self._where, "")
        else:
            try:
                value = Path(self._where).read_text(encoding="utf-8")
            except OSError as exc:
                raise SecretMissingError(f"{self.reference}: {exc.strerror}") from None
        if not value.strip():
            raise SecretMissingError(f"{self.reference} is not set or empty")
        return value.strip()

    def __repr__(self) -> str:
        return f"SecretRef({self.reference!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretRef) and other.reference == self.reference

    def __hash__(self) -> int:
        return hash(self.reference)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda ref: ref.reference),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": r"^\$\{(env|file):[^}]+\}$"}
