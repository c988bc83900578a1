"""config.yaml -> validated settings.

Each collector brings its own `Section`; unknown keys are refused with the nearest known key, and every error
names file, line and column. Secrets are only referred to, as ``${env:NAME}`` or ``${file:/path}``.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from scanner.collect import collector_names, load_collector
from scanner.findings import Severity  # noqa: TC001  pydantic reads the annotations at run time

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


class RuleSettings(Section):
    """Thresholds of the rules, and where more rules are."""

    params: dict[str, dict[str, float | int | str]] = {}
    """Thresholds by rule id: ``credential-unused: {days: 30}``."""
    disabled: list[str] = []
    """Rule ids that do not run."""
    custom: Path | None = None
    """A folder of rules of your own, of the same shape as the built-in ones."""
    due_days: dict[Severity, int] = {"critical": 7, "high": 30, "medium": 60, "low": 90}
    """Days from the first night until a finding is overdue."""


class ReportSettings(Section):
    """What is written, and how."""

    formats: list[str] = ["html", "csv", "json"]
    """Reports to write: the module names under ``reports/``."""
    csv_delimiter: str = Field(default=",", min_length=1, max_length=1)
    """One character between cells."""
    csv_bom: bool = False
    """Start CSV files with a byte order mark, for Excel."""
    csv_raw: bool = False
    """Do not guard cells against spreadsheet formulas."""
    csv_max_rows: int = Field(default=0, ge=0)
    """Split CSV files after this many rows; 0 keeps each in one file."""
    title: str = "Identity sprawl"
    """Heading of the HTML report."""


class NotifySettings(Section):
    """Whom to tell after a night."""

    webhook: SecretRef | None = None
    """Where to POST the summary: a reference, since such addresses hold secrets."""
    webhook_threshold: Severity = "high"
    """Tell of new or reopened findings at or above this severity; coverage loss and failures are always told."""
    report_url: str | None = None
    """Where readers find the report; put into the message."""
    prometheus_textfile: Path | None = None
    """File for node_exporter's textfile collector."""
    ping_url: SecretRef | None = None
    """Dead-man ping: ``/start`` and ``/fail`` are appended as in healthchecks.io."""


class Limits(Section):
    """Time and machine."""

    workers: int = Field(default=8, ge=1, le=64)
    """Targets collected at once."""
    deadline_minutes: int = Field(default=300, ge=1)
    """After this long no target is begun, and the snapshot is sealed as partial."""
    memory: str = Field(default="1GB", pattern=r"^\d+(MB|GB)$")
    """Memory for analysis; it spills to disk above this."""
    threads: int = Field(default=2, ge=1, le=64)
    """Threads for analysis."""


class Retention(Section):
    """What `prune` keeps."""

    daily: int = Field(default=35, ge=1)
    """Newest snapshot of this many days."""
    monthly: int = Field(default=14, ge=0)
    """Newest snapshot of this many months."""
    yearly: int = Field(default=7, ge=0)
    """Newest snapshot of this many years."""


class Settings(Section):
    """All of config.yaml."""

    state: Path = Path("state")
    """Folder for snapshots, history and reports; made private (0700)."""
    collectors: dict[str, list[Section]]
    """A section for each system; a list of sections where there are several of one kind."""
    rules: RuleSettings = RuleSettings()
    """Thresholds, disabled and custom rules."""
    exceptions: Path | None = None
    """exceptions.yaml: accepted risks, each with owner, approver, reason and expiry."""
    owners: Path | None = None
    """CSV file of owners: columns ``match`` (id, address or glob), ``owner``, and optionally ``environment``."""
    reports: ReportSettings = ReportSettings()
    """What is written, and how."""
    notify: NotifySettings = NotifySettings()
    """Whom to tell after a night."""
    limits: Limits = Limits()
    """Time and machine."""
    retention: Retention = Retention()
    """What `prune` keeps."""
    fail_on: str | None = Field(default=None, pattern=r"^(new:|open:)?(critical|high|medium|low|info)$")
    """Exit with 3 when there are findings at or above this: ``new:high`` or ``high``."""
    min_coverage: float = Field(default=0.8, ge=0, le=1)
    """Exit with 4 when less of what was asked for was answered: 0 to 1."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A validated config.yaml."""

    settings: Settings
    path: Path
    """The file, absolute; relative paths in it are resolved from its folder."""
    digest: str
    """sha256 of the file's bytes; it holds no secrets."""


class ConfigError(Exception):
    """config.yaml is wrong. One line a problem: ``file:line:column: key: what; what to do``."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _position(document: Any, where: tuple[str | int, ...]) -> tuple[int, int]:
    """Return line and column, from 1, of a key path in a round-trip document; of its nearest parent if absent."""
    line, column = 1, 1
    node = document
    for part in where:
        marks = getattr(node, "lc", None)
        if marks is None or marks.data is None or part not in marks.data:
            break
        line, column = marks.data[part][0] + 1, marks.data[part][1] + 1
        node = node[part]
    return line, column


def _known_keys(model: type[BaseModel], where: tuple[str | int, ...]) -> list[str]:
    """Return the keys that are known at a place of a model."""
    current: Any = model
    for part in where:
        if isinstance(part, int) or not (isinstance(current, type) and issubclass(current, BaseModel)):
            continue
        field = current.model_fields.get(part)
        if field is None:
            return []
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        current = next(
            (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None
        )
    if isinstance(current, type) and issubclass(current, BaseModel):
        return sorted(current.model_fields)
    return []


def _problem(
    path: Path, document: Any, model: type[BaseModel], prefix: tuple[str | int, ...], error: ErrorDetails
) -> str:
    where = tuple(part for part in error["loc"] if isinstance(part, int) or not part.startswith("function-"))
    line, column = _position(document, (*prefix, *where))
    key = ".".join(str(part) for part in (*prefix, *where))
    if error["type"] == "extra_forbidden":
        known = _known_keys(model, where[:-1])
        near = difflib.get_close_matches(str(where[-1]), known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
        what = f"unknown key; {hint}"
    elif error["type"] == "missing":
        what = "is missing; add it"
    else:
        what = error["msg"].removeprefix("Value error, ")
    return f"{path}:{line}:{column}: {key}: {what}"


def load(path: Path) -> Loaded:
    """Read and validate config.yaml. Raises `ConfigError` with every problem found."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        raw = path.read_bytes()
    except OSError as exc:
        raise ConfigError(
            [
                f"{path}: {exc.strerror}. Copy config.example.yaml to config.yaml, or name a file with --config."
            ]
        ) from None
    yaml = YAML(typ="rt")
    yaml.allow_duplicate_keys = False
    try:
        document = yaml.load(raw)
    except MarkedYAMLError as exc:
        mark = exc.problem_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConfigError([f"{path}{at}: not valid YAML: {exc.problem}"]) from None
    except (YAMLError, UnicodeDecodeError) as exc:
        raise ConfigError([f"{path}: not valid YAML: {exc}"]) from None
    if not isinstance(document, dict):
        raise ConfigError(
            [f"{path}:1:1: must be a mapping with the key `collectors`; see config.example.yaml"]
        )
    settings = _validated(path.resolve(), document)
    return Loaded(settings=settings, path=path.resolve(), digest=hashlib.sha256(raw).hexdigest())


def _validated(path: Path, document: dict[str, Any]) -> Settings:
    problems: list[str] = []
    sections: dict[str, list[Section]] = {}
    chosen = document.get("collectors")
    if not isinstance(chosen, dict) or not chosen:
        line, column = _position(document, ("collectors",))
        names = ", ".join(collector_names())
        raise ConfigError([f"{path}:{line}:{column}: collectors: name at least one of: {names}"])
    for name, given in chosen.items():
        try:
            model = load_collector(str(name)).Config
        except LookupError:
            line, column = _position(document, ("collectors", name))
            near = difflib.get_close_matches(str(name), collector_names(), n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(collector_names())}"
            problems.append(f"{path}:{line}:{column}: collectors.{name}: no such collector; {hint}")
            continue
        several = isinstance(given, list)
        for index, part in enumerate(given if several else [given]):
            prefix: tuple[str | int, ...] = ("collectors", name, *((index,) if several else ()))
            try:
                section = model.model_validate(_plain(part) or {})
                sections.setdefault(str(name), []).append(section)
            except ValidationError as exc:
                problems += [_problem(path, document, model, prefix, error) for error in exc.errors()]
    rest = {key: _plain(value) for key, value in document.items() if key != "collectors"}
    try:
        settings = Settings.model_validate({**rest, "collectors": {}})
    except ValidationError as exc:
        problems += [_problem(path, document, Settings, (), error) for error in exc.errors()]
    if problems:
        raise ConfigError(problems)
    return _from_folder(settings.model_copy(update={"collectors": sections}), path.parent)


def _plain(value: Any) -> Any:
    """Return a round-trip value as plain Python."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _from_folder(settings: Settings, folder: Path) -> Settings:
    """Resolve relative paths from the folder of config.yaml, so that a scheduler's folder does not matter."""

    def at(path: Path | None) -> Path | None:
        return folder / path if path is not None else None

    return settings.model_copy(
        update={
            "state": folder / settings.state,
            "exceptions": at(settings.exceptions),
            "owners": at(settings.owners),
            "rules": settings.rules.model_copy(update={"custom": at(settings.rules.custom)}),
            "notify": settings.notify.model_copy(
                update={"prometheus_textfile": at(settings.notify.prometheus_textfile)}
            ),
        }
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of config.yaml, for editors, with the sections of every installed collector."""
    schema = Settings.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    collectors: dict[str, Any] = {}
    for name in collector_names():
        part = load_collector(name).Config.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        for key, value in part.pop("$defs", {}).items():
            definitions[f"{name}.{key}"] = value
        definitions[name] = part
        reference = {"$ref": f"#/$defs/{name}"}
        collectors[name] = {"anyOf": [reference, {"type": "array", "items": reference}, {"type": "null"}]}
    schema["properties"]["collectors"] = {
        "type": "object",
        "description": "A section for each system; a list of sections where there are several of one kind.",
        "properties": collectors,
        "additionalProperties": False,
        "minProperties": 1,
    }
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema
