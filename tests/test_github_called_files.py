"""Which files of a repository a definition calls: with these, its records change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collectors.github.facts import DefinitionFile
from collectors.github.texts import KnownFiles, learn
from scanner.collect.memory import Memory
from scanner.secrets.detectors import Fingerprint

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = {
    ".github/workflows/main.yml": 'jobs:\n  a:\n    uses: ./.github/workflows/called.yml\n  b: {uses: "o/r/.github/workflows/x.yml@v1"}\n',
    ".github/workflows/called.yml": "steps:\n  - uses: './.github/actions/build/' # ours\n  - uses: actions/checkout@v4\n",
    ".github/actions/build/action.yaml": "steps:\n  - uses: $/.github/actions/last\n  - uses: ./\n  - uses: ./.github/actions/gone\n",
    ".github/actions/last/action.yml": "steps: [{uses: ./.github/actions/build}]\n",
    "action.yml": "runs: {using: docker, image: Dockerfile}\n",
    ".github/workflows/other.yml": "steps: [{run: 'echo uses'}]\n",
}


def test_called_files_are_found_through_others_and_in_circles(tmp_path: Path) -> None:
    memory = Memory(
        tmp_path,
        "github",
        "t",
        as_of=datetime(2026, 11, 22, tzinfo=UTC),
        version="1",
        fingerprint=Fingerprint(b"k"),
    )
    files = [DefinitionFile(path=path, oid=f"oid-{path}", size=len(text)) for path, text in TEXTS.items()]
    known = KnownFiles(texts={}, facts={file.oid: learn(memory, file, TEXTS[file.path]) for file in files})
    main, *others = files
    assert [file.path for file in known.called_by(main, files)] == [
        ".github/actions/build/action.yaml",
        ".github/actions/last/action.yml",
        ".github/workflows/called.yml",
        "action.yml",
    ]
    assert known.called_by(others[-1], files) == []
    assert known.called_by(main, [main]) == []
