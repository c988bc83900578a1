"""The secrets in variables of type ``file``: a ``.env``, a ``terraform.tfvars``, Maven's ``settings.xml``.

https://docs.gitlab.com/ci/variables/#use-file-type-cicd-variables
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from scanner.secrets.detectors import inspect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scanner.records import Secret
    from scanner.secrets.detectors import Fingerprint

_ELEMENT = re.compile(r"<(?P<name>[\w.:-]{1,80})>(?P<value>[^<>]{1,4000})</[\w.:-]{1,80}>")
_PAIR = re.compile(
    r"(?:export\s{1,8})?[\"']?(?P<name>[A-Za-z_][\w.-]{0,120})[\"']?\s{0,40}[=:]\s{0,40}(?P<value>\S.{0,4000})"
)
_ONE_DOCUMENT = ("{", "[", "-----BEGIN")
"""A text that begins so is one credential, such as a service account's key file, and is examined as a whole."""


def assignments(text: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values that a text assigns, one a line: ``NAME=value``, ``name = "value"``, ``name: value``,
    ``<name>value</name>``. Comments, and values over several lines, are left out.
    """
    for line in text.splitlines():
        shown = line.strip()
        elements = list(_ELEMENT.finditer(shown))
        for element in elements:
            yield element["name"], element["value"].strip()
        pair = None if elements else _PAIR.fullmatch(shown)
        if pair:
            yield pair["name"], pair["value"].rstrip(",; ").strip("\"'")


def in_file(text: str, whole: Secret, fingerprint: Fingerprint) -> list[Secret]:
    """Return the secrets that a file assigns, each as a secret of its own beside the variable ``whole``, without it. The
    list is empty if the text is a single credential, or if nothing in it looks like one. Values are inspected in memory and
    dropped.
    """
    if text.lstrip().startswith(_ONE_DOCUMENT):
        return []
    found: list[Secret] = []
    times: Counter[str] = Counter()
    for name, value in assignments(text):
        seen = inspect(name, value, fingerprint)
        if seen is None:
            continue
        times[name] += 1
        part = name if times[name] == 1 else f"{name} ({times[name]})"
        key_id = seen.key_id or ""
        found.append(
            msgspec.structs.replace(
                whole,
                id=f"{whole.id}#{part}",
                name=f"{whole.name}#{part}",
                looks_like=seen.looks_like,
                recognized_by=seen.recognized_by,
                length=seen.length,
                fingerprint=seen.fingerprint,
                credential_id=f"aws:access-key:{key_id}" if key_id.startswith(("AKIA", "ASIA")) else None,
            )
        )
    return found
