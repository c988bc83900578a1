"""No secret value of the company, and none of the scanner's own credentials, is left anywhere after two nights.

The sandboxes keep every secret value that they make: those planted in variables, definitions and states, and the
tokens and keys with which the scanner itself signed in. Each is looked for in every file of the state folder, whatever
its format, and in what was printed, as it is and in the encodings that hide it from a plain search.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import gzip
import json
import re
import sqlite3
import sys
import zlib
from typing import TYPE_CHECKING
from urllib.parse import quote

import duckdb
import numpy as np
import pytest

from sandbox.github.estate import SECRET_VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Demo

PACKED = re.compile(rb"[A-Za-z0-9+/]{200,}={0,2}")
"""Base64 that is long enough to hold something packed: the payload of the HTML report."""


WINDOW = 8
"""Bytes compared first: no form is shorter."""


def forms(secret: str) -> set[bytes]:
    """Return a secret as it is, quoted for URLs and JSON, in hex, and in base64 at each of its three alignments."""
    plain = secret.encode()
    found = {plain, quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode(), plain.hex().encode()}
    for shift in range(3):
        packed = base64.b64encode(b"\0" * shift + plain)
        # Characters at both ends also contain bits of the text next to the secret.
        inner = packed[(0, 2, 3)[shift] : len(packed) - 4]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return {form for form in found if len(form) >= WINDOW}


def needles(demo: Demo) -> dict[bytes, str]:
    """Return what must be found nowhere: form -> the secret that it is of. A private key is looked for by its lines."""
    secrets: set[str] = set()
    for secret in {*demo.secrets, *SECRET_VALUES}:
        lines = [line for line in secret.splitlines() if len(line) >= WINDOW and not line.startswith("-----")]
        secrets.update(lines)
    return {form: secret for secret in sorted(secrets) for form in forms(secret)}


def unpacked(content: bytes) -> Iterator[bytes]:
    """Yield bytes, and what is packed in them."""
    yield content
    for match in PACKED.finditer(content):
        try:
            raw = base64.b64decode(match.group() + b"==")
        except binascii.Error:
            continue
        yield gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw


def cells(path: Path) -> Iterator[bytes]:
    """Yield the cells of a SQLite file; those that are packed also unpacked."""
    with sqlite3.connect(path) as con:
        for (table,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in con.execute(f'SELECT * FROM "{table}"'):
                for cell in row:
                    content = cell if isinstance(cell, bytes) else str(cell).encode()
                    yield content
                    try:
                        yield zlib.decompress(content, wbits=47)
                    except zlib.error:
                        continue


def contents(path: Path) -> Iterator[bytes]:
    """Yield the content of a file, decoded if its format encodes it."""
    yield from unpacked(path.read_bytes())
    if path.suffix == ".parquet":
        query = f"SELECT to_json(t)::VARCHAR FROM read_parquet('{path}') t"
        with duckdb.connect() as con:
            yield "\n".join(row[0] for row in con.execute(query).fetchall()).encode()
    elif path.suffix in {".sqlite", ".db"}:
        yield b"\n".join(cells(path))
    elif path.suffix == ".html":
        assert len(list(unpacked(path.read_bytes()))) > 1, "the report's findings are packed in it"


def found(searched: Iterator[bytes], wanted: dict[bytes, str]) -> set[str]:
    """Return the secrets that stand in texts. Compares every eight bytes with the start of every form at once."""
    by_start: dict[int, list[bytes]] = {}
    for form in wanted:
        by_start.setdefault(int.from_bytes(form[:WINDOW], sys.byteorder), []).append(form)
    starts = np.array(sorted(by_start), dtype=np.uint64)
    hits: set[str] = set()
    for content in searched:
        if len(content) < WINDOW:
            continue
        view = np.lib.stride_tricks.sliding_window_view(np.frombuffer(content, np.uint8), WINDOW)
        windows = np.ascontiguousarray(view).view(np.uint64).ravel()
        nearest = np.minimum(np.searchsorted(starts, windows), len(starts) - 1)
        for at in np.flatnonzero(starts[nearest] == windows):
            hits |= {wanted[form] for form in by_start[int(windows[at])] if content.startswith(form, int(at))}
    return hits


@pytest.fixture(scope="module")
def wanted(demo: Demo) -> dict[bytes, str]:
    return needles(demo)


def test_there_are_secrets_to_look_for(demo: Demo, wanted: dict[bytes, str]) -> None:
    assert len(wanted) > 500
    issued = "\n".join(demo.secrets)
    for start in ("ghs_", "-----BEGIN PRIVATE KEY-----", "glpat-"):
        assert start in issued, f"the scanner signed in with {start}..."


@pytest.mark.parametrize("wrap", ["plain", "base64", "url", "parquet", "sqlite", "html"])
def test_the_search_finds_a_secret_that_is_there(wanted: dict[bytes, str], tmp_path: Path, wrap: str) -> None:
    # A Secret of Kubernetes is shown in base64 and is then two secrets, of which one contains the other.
    secret = min(value for value in wanted.values() if "_" in value)
    text = f'{{"value": "{secret}"}}'
    path = tmp_path / f"file.{wrap}"
    if wrap == "plain":
        path.write_text(text)
    elif wrap == "base64":
        path.write_bytes(base64.b64encode(b"x" + text.encode()))
    elif wrap == "url":
        path.write_text(f"https://host/?q={quote(secret, safe='')}")
    elif wrap == "parquet":
        with duckdb.connect() as con:
            con.execute("CREATE TABLE t AS SELECT ? AS value, range AS n FROM range(50)", [text])
            con.execute(f"COPY t TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
    elif wrap == "sqlite":
        with sqlite3.connect(path) as con:
            con.execute("CREATE TABLE t (body BLOB)")
            con.execute("INSERT INTO t VALUES (?)", [zlib.compress(text.encode())])
    else:
        filler = "".join(f"{number:x}" for number in range(2000))
        path.write_bytes(
            b"<script>" + base64.b64encode(gzip.compress((filler + text).encode())) + b"</script>"
        )
    assert found(contents(path), wanted) == {secret}


@pytest.fixture(scope="module")
def held(demo: Demo, wanted: dict[bytes, str]) -> dict[str, set[str]]:
    """Return the secrets, and the fingerprint key, that each file of the state contains."""
    key = fingerprint_key(demo)
    sought = wanted | dict.fromkeys(forms(key), key) | {bytes.fromhex(key): key}
    files = [path for path in sorted(demo.folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(demo.folder)): found(contents(path), sought) for path in files}


def fingerprint_key(demo: Demo) -> str:
    key = (demo.folder / "key").read_text().strip()
    assert len(key) == 64
    return key


def test_no_secret_is_in_any_file_of_the_state(demo: Demo, held: dict[str, set[str]]) -> None:
    assert len(held) > 100
    assert {"cache", "snapshots", "analysis", "history", "reports"} <= {name.split("/")[0] for name in held}
    key = fingerprint_key(demo)
    assert {name: secrets - {key} for name, secrets in held.items() if secrets - {key}} == {}


def test_the_key_of_fingerprints_is_in_no_other_file(demo: Demo, held: dict[str, set[str]]) -> None:
    key = fingerprint_key(demo)
    assert [name for name, secrets in held.items() if key in secrets] == ["key"]


def test_no_secret_is_printed_or_logged(demo: Demo, wanted: dict[bytes, str]) -> None:
    assert found(iter([demo.out.encode(), demo.err.encode()]), wanted) == set()


def test_the_demo_logs_its_progress_and_nothing_else(demo: Demo) -> None:
    events = [json.loads(line) for line in demo.err.splitlines()]
    assert {event["event"] for event in events} == {"collecting", "target done", "snapshot sealed"}
    assert {event["level"] for event in events} == {"info"}


def test_every_file_is_its_owners_alone(demo: Demo) -> None:
    open_to_others = []
    for path in (demo.folder, *demo.folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # another worker's command tidied up after itself
            if path.stat().st_mode & 0o077:
                open_to_others.append(path)
    assert open_to_others == []
