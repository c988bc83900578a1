"""The engine tells providers apart by the fields of records, never by name: no provider's word in its code."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scanner.framework_names import framework_names

if TYPE_CHECKING:
    from collections.abc import Iterator

SCANNER = Path(__file__).resolve().parents[1] / "scanner"
DETECTORS = SCANNER / "secrets"
"""What a provider's secrets look like is what detectors are about."""

WORDS = re.compile(
    r"\b(aws|amazon\w*|arns?|iam|sts|ec2|ecs|eks|lambda-function|s3|github\w*|workflow_call|gitlab\w*|azure\w*|entra|microsoft|"
    r"gcp|google\w*|kubernetes|k8s|alibaba\w*|oracle|oci|okta|jenkins\w*|bitbucket\w*|terraform)\b",
    re.IGNORECASE,
)


def code(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of the names and strings of a module, without docstrings and comments."""
    tree = ast.parse(source)
    said = {
        id(statement.value)
        for statement in ast.walk(tree)
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    }
    for node in ast.walk(tree):
        match node:
            # The id of a framework names no provider, but a document.
            case ast.Constant(value=str(text)) if id(node) not in said and text not in framework_names():
                yield node.lineno, text
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.arg(arg=text):
                yield node.lineno, text.replace("_", " ")
            case ast.FunctionDef(name=text) | ast.ClassDef(name=text) | ast.keyword(arg=str(text)):
                yield node.lineno, text.replace("_", " ")
            case _:
                pass


@pytest.mark.parametrize(
    "source",
    [
        "x = record['kind'] == 'iam-role'",
        "def github_tokens(): ...",
        "q = f'SELECT {x} WHERE claim = \\'aws:principalarn\\''",
        "parts = text.startswith('arn:')",
    ],
)
def test_a_providers_word_is_found_in_code(source: str) -> None:
    assert [text for _, text in code(source) if WORDS.search(text)]


@pytest.mark.parametrize(
    "source",
    ['"""Docs name AWS."""', "x = 1  # as GitHub does", 'x = 1\n"""Of `aws`."""', "y = 'warns of jaws'"],
)
def test_what_explains_may_name_providers(source: str) -> None:
    assert not [text for _, text in code(source) if WORDS.search(text)]


def test_no_word_of_a_provider_is_in_the_code_of_the_engine() -> None:
    found = [
        f"{path.relative_to(SCANNER.parent)}:{line}: {text.strip()[:80]}"
        for path in sorted(SCANNER.rglob("*.py"))
        if not path.is_relative_to(DETECTORS)
        for line, text in code(path.read_text(encoding="utf-8"))
        if WORDS.search(text)
    ]
    assert found == []
