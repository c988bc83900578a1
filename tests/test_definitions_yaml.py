"""The YAML reader on hostile and odd files."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.definitions.definition import DefinitionError
from collectors.definitions.yaml_nodes import (
    MAX_BYTES,
    Mapping,
    Node,
    Scalar,
    Sequence,
    YamlDocument,
    boolean,
    is_null,
    mapping,
    read,
    scalars,
    text,
    texts,
)


def root(source: str) -> Mapping:
    found = read(source)[0].root
    assert isinstance(found, Mapping)
    return found


def test_scalars_stay_text_as_in_yaml_1_2() -> None:
    node = root("on: push\nyes: no\noctal: 010\ntime: 22:30\nversion: 3.10\nhex: 0x1F\n")
    assert [(key.text, text(value)) for key, value in node.pairs] == [
        ("on", "push"),
        ("yes", "no"),
        ("octal", "010"),
        ("time", "22:30"),
        ("version", "3.10"),
        ("hex", "0x1F"),
    ]


def test_only_true_and_false_are_booleans() -> None:
    node = root("a: true\nb: False\nc: yes\nd: on\ne: 'true'\nf: []\n")
    assert [boolean(node.get(key)) for key in "abcdefg"] == [True, False, None, None, True, None, None]


def test_nulls() -> None:
    node = root("a:\nb: ~\nc: null\nd: ''\ne: 'null'\n")
    assert [is_null(node.get(key) or Scalar("x", 1, 1, None, "")) for key in "abcde"] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert text(node.get("a")) is None
    assert text(node.get("e")) == "null"


def test_lines_and_columns_count_from_one() -> None:
    node = root("a: 1\nb:\n  - x\n  - y: z\n")
    second = node.get("b")
    assert isinstance(second, Sequence)
    assert (second.items[0].line, second.items[0].column) == (3, 5)
    assert mapping(second.items[1]).key("y") is not None
    assert (second.items[1].line, second.items[1].column) == (4, 5)


def test_tags_are_kept_and_never_constructed() -> None:
    node = root("a: !reference [x, y]\nb: !!python/object/apply:os.system ['true']\nc: !Ref d\n")
    first, second = node.get("a"), node.get("b")
    assert isinstance(first, Sequence)
    assert first.tag == "!reference"
    assert texts(first) == ["x", "y"]
    assert isinstance(second, Sequence)
    assert texts(second) == ["true"]
    assert text(node.get("c")) == "d"


def test_duplicate_keys_are_kept_and_reported() -> None:
    document = read("a: 1\nb: 2\na: 3\nc: {x: 1, x: 2}\n")[0]
    node = mapping(document.root)
    assert text(node.get("a")) == "3"
    assert [(key.text, text(value)) for key, value in node.pairs][:3] == [("a", "1"), ("b", "2"), ("a", "3")]
    assert [(key.text, key.line) for key in document.duplicates] == [("a", 3), ("x", 4)]


def test_aliases_and_merge_keys() -> None:
    node = root("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: {<<: [*x, {c: 4}]}\n")
    assert {key.text: text(value) for key, value in mapping(node.get("y")).pairs} == {"a": "1", "b": "3"}
    assert {key.text: text(value) for key, value in mapping(node.get("z")).pairs} == {
        "a": "1",
        "b": "2",
        "c": "4",
    }
    assert read("x: &x {a: 1}\ny: {<<: *x, a: 2}\n")[0].duplicates == []


def test_documents_are_read_one_by_one() -> None:
    first, second = read("spec: {inputs: {a: {}}}\n---\njob: {script: x}\n")
    assert "spec" in mapping(first.root)
    assert "job" in mapping(second.root)
    assert read("") == []


def test_tabs_are_repaired_and_reported() -> None:
    document = read("a:\n\tb: 1\n")[0]
    assert document.repaired
    assert text(mapping(mapping(document.root).get("a")).get("b")) == "1"
    assert not read("a: 'x\ty'\n")[0].repaired


def test_a_byte_order_mark_is_no_content() -> None:
    assert "a" in root("\ufeffa: 1\n")


def bomb(levels: int) -> str:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 10)}]" for level in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (bomb(9), "malformed"),
        ("&a [*a]\n", "malformed"),
        ("a: *missing\n", "malformed"),
        ("[" * 100_000, "malformed"),
        ("- " * 100_000, "malformed"),
        ("{a: " * 500 + "1" + "}" * 500, "malformed"),
        ("a: [1\n", "malformed"),
        ("a: b: c\n", "malformed"),
        ("\x00", "malformed"),
        ("a: \x07\n", "malformed"),
        ("- a\n" * 250_001, "malformed"),
        ("#" * (MAX_BYTES + 1), "truncated"),
    ],
)
def test_hostile_files_are_refused_in_time(source: str, reason: str) -> None:
    begun = time.process_time()
    with pytest.raises(DefinitionError) as caught:
        read(source)
    assert caught.value.reason == reason
    assert time.process_time() - begun < 20


def test_a_small_bomb_is_read_at_its_full_size() -> None:
    node = root(bomb(3))
    assert sum(1 for _ in scalars(node)) == 10 + 100 + 1000


def test_ten_megabytes_of_one_text_are_read() -> None:
    node = root("run: |\n" + f"  echo {'x' * 1000}\n" * 9_500)
    assert len(text(node.get("run")) or "") > 9_000_000


@given(st.text(alphabet=st.characters(codec=None), max_size=300))
def test_any_text_gives_nodes_or_the_one_error(source: str) -> None:
    documents: list[YamlDocument] = []
    with contextlib.suppress(DefinitionError):
        documents = read(source)
    for document in documents:
        for _, scalar in scalars(document.root):
            assert scalar.line >= 1
            assert scalar.column >= 1


YAMLISH = st.lists(
    st.sampled_from(["a", ": ", "\n", "  ", "- ", "[", "]", "{", "}", "&x ", "*x", "!t ", "|\n", ">\n", "'", '"', "#", "<<: ", ",", "\t", "? ", "---\n", "\u00e9"]),
    max_size=60,
)  # fmt: skip


@given(YAMLISH)
def test_anything_like_yaml_gives_nodes_or_the_one_error(parts: list[str]) -> None:
    nodes: list[Node] = []
    with contextlib.suppress(DefinitionError):
        nodes = [document.root for document in read("".join(parts))]
    for node in nodes:
        assert sum(1 for _ in scalars(node)) < 250_000
