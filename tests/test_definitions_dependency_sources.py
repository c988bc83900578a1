"""Where builds take packages from: several indexes, without encryption, unchecked."""

from __future__ import annotations

import pytest

from collectors.definitions import parse
from collectors.definitions.shell.dependency_sources import of_variable, unsafe_sources
from scanner.secrets.detectors import Fingerprint


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("pip install --extra-index-url https://pypi.acme.example/simple x", "all its indexes"),
        ("python -m pip install --extra-index-url=https://pypi.acme.example/simple x", "all its indexes"),
        ("pip install --require-hashes --extra-index-url https://pypi.acme.example/simple -r r.txt", None),
        ("uv pip install --extra-index-url https://pypi.acme.example/simple x", None),
        ("uv pip install --index-strategy unsafe-best-match x", "any index"),
        ("uv pip install --index-strategy first-index x", None),
        ("pip install --index-url https://pypi.acme.example/simple x", None),
        ("pip install --index-url http://pypi.acme.example/simple x", "pypi.acme.example without encryption"),
        ("pip install --index-url http://localhost:3141/simple x", None),
        ("npm ci --registry http://u:p@npm.acme.example/", "npm.acme.example without encryption"),
        ("npm config set strict-ssl false", "no certificate"),
        ("pip install --trusted-host pypi.acme.example x", "certificate"),
        ("apt-get install --allow-unauthenticated x", "without a signature"),
        ("GOSUMDB=off go build ./...", "log of checksums"),
        ("GOSUMDB=sum.golang.org go build ./...", None),
        ("export PIP_EXTRA_INDEX_URL=$INDEX", "all its indexes"),
        ("# export GOSUMDB=off", None),
        ("pip install -r requirements.txt", None),
        ("echo --extra-index-url", None),
    ],
)
def test_commands(script: str, words: str | None) -> None:
    found = list(unsafe_sources(f"set -e\n{script}"))
    assert [one.line for one in found] == ([1] if words else [])
    assert all(words is not None and words in one.what for one in found)


def test_a_variable_without_a_value_says_nothing() -> None:
    assert of_variable("PIP_EXTRA_INDEX_URL", "") is None
    assert of_variable("GOPROXY", "direct") is None


@pytest.mark.parametrize(
    ("path", "source", "line"),
    [
        (".github/workflows/a.yml", "on: push\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    env: {GOSUMDB: 'off'}\n    steps: [{run: x}]\n", 6),
        (".github/workflows/a.yml", "on: push\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: pip install --extra-index-url https://a/ b\n", 7),
        (".gitlab-ci.yml", "build:\n  image: a@sha256:" + "a" * 64 + "\n  variables: {PIP_EXTRA_INDEX_URL: https://a/}\n  script: [make]\n", 3),
        ("bitbucket-pipelines.yml", "pipelines:\n  default:\n    - step:\n        script:\n          - GOSUMDB=off go build\n", 5),
    ],
)  # fmt: skip
def test_every_format(path: str, source: str, line: int) -> None:
    found = parse(path, source, Fingerprint(b"k")).problems
    assert [one.line for one in found if one.code == "unsafe-dependency-source"] == [line]
