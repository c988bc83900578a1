"""A secret in any string of any format of definition file is written nowhere: every position, keys included."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml

from collectors.definitions import Context, DefinitionError, definition_records, format_of, parse
from sandbox.kit.planted_secrets import CONFIGURED, FORMS, Planted, secret_in
from scanner.secrets.configured import remember
from scanner.secrets.detectors import Fingerprint
from scanner.secrets.masking import masked
from scanner.secrets.redact import redact
from scanner.yaml_data import LOADER, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

FINGERPRINT = Fingerprint(b"k" * 32)
CONTEXT = Context(
    provider="definitions",
    account_id="definitions:checkout:x",
    repository="acme/x",
    default_branch="main",
    immutable_subject=None,
)
FILES = {
    (case.get("file") or ".github/workflows/ci.yml", case["text"])
    for path in sorted((Path(__file__).parent / "data/labeled_workflows").glob("*.yaml"))
    for part in read_yaml(path).values()
    for case in (part if isinstance(part, list) else [])
    if isinstance(case, dict) and "text" in case
}
FORMATS = sorted({str(format_of(path)) for path, _ in FILES})
MOST = 12
"""Files of each format, the longest: they have the most positions."""


def scalars(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.ScalarNode]:
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    match node:
        case yaml.ScalarNode():
            yield node
        case yaml.SequenceNode():
            for item in node.value:
                yield from scalars(item, seen)
        case yaml.MappingNode():
            for key, value in node.value:
                yield from scalars(key, seen)
                yield from scalars(value, seen)
        case _:
            return


def documents(text: str) -> list[Any]:
    return list(yaml.compose_all(text, LOADER))


def planted(path: str, text: str) -> Iterator[tuple[Planted, str]]:
    """Yield a secret and the file with it, for each string; the forms take turns."""

    def secret(number: int) -> Planted:
        return secret_in(FORMS[(number + len(text)) % len(FORMS)], f"{path} {number} {len(text)}")

    if "enkins" in path:
        for number, match in enumerate(re.finditer(r"'[^'\n]*'|\"[^\"\n]*\"", text)):
            given = secret(number)
            shown = given.text.replace("\n", "\\n")
            yield given, f"{text[: match.end() - 1]} {shown}{text[match.end() - 1 :]}"
        return
    for number in range(sum(1 for root in documents(text) for _ in scalars(root, set()))):
        given = secret(number)
        roots = documents(text)
        node = [node for root in roots for node in scalars(root, set())][number]
        node.value = f"{node.value} {given.text}".strip()
        yield given, "---\n".join(yaml.serialize(root, width=10_000) for root in roots)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_secret_in_any_string_of_a_definition_is_not_written(kind: str) -> None:
    remember(CONFIGURED)
    files = sorted(
        (file for file in FILES if str(format_of(file[0])) == kind), key=lambda file: (-len(file[1]), file)
    )
    count = 0
    for path, text in files[:MOST]:
        for secret, changed in planted(path, text):
            count += 1
            try:
                found = list(
                    definition_records(parse(path, changed, FINGERPRINT, owner="acme"), context=CONTEXT)
                )
            except DefinitionError as exc:
                written = redact(str(exc))
            else:
                written = msgspec.json.encode(masked(found, FINGERPRINT)).decode()
            assert secret.needle not in written, changed
    assert count


def lists(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.SequenceNode]:
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        yield node
    if isinstance(node, yaml.SequenceNode | yaml.MappingNode):
        for child in node.value:
            for part in child if isinstance(child, tuple) else (child,):
                yield from lists(part, seen)


@pytest.mark.parametrize("kind", [name for name in FORMATS if "enkins" not in name])
def test_a_private_key_whose_lines_are_items_of_a_list_is_not_written(kind: str) -> None:
    body = [secret_in("private-key", f"line {number}").needle for number in range(2)]
    body = [base64.b64encode(hashlib.sha384(line.encode()).digest()).decode() for line in body]
    begin, end = (f"-----{word} RSA PRIVATE KEY-----" for word in ("BEGIN", "END"))
    key = [begin, body[0], f"echo '{body[1]}' >> key.pem", end]
    count = 0
    for path, text in sorted(file for file in FILES if str(format_of(file[0])) == kind):
        roots = documents(text)
        found = [node for root in roots for node in lists(root, set())]
        if not found:
            continue
        for node in found:
            node.value += [yaml.ScalarNode("tag:yaml.org,2002:str", line, style='"') for line in key]
        changed = "---\n".join(yaml.serialize(root, width=10_000) for root in roots)
        try:
            records = list(
                definition_records(parse(path, changed, FINGERPRINT, owner="acme"), context=CONTEXT)
            )
        except DefinitionError:
            continue
        count += 1
        written = msgspec.json.encode(masked(records, FINGERPRINT)).decode()
        assert not [line for line in body if line in written], changed
    assert count
