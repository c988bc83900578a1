"""config.yaml -> validated settings.

Each collector defines its own `Section`. Unknown keys are rejected with the nearest known key, and every error
names file, line and column. Secrets are only referenced, as ``${env:NAME}`` or ``${file:/path}``.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar, get_args
from urllib.parse import urlsplit

import msgspec
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    create_model,
    field_validator,
)
from pydantic_core import CoreSchema, core_schema

from scanner.document import Document, DocumentError, Where, nearest
from scanner.framework_names import CITED_BY_DEFAULT, EVERY_FRAMEWORK, framework_names
from scanner.plugins import collector_names, load_collector, report_config, report_names
from scanner.records import Severity  # noqa: TC001  pydantic reads the annotations at run time
from scanner.secrets.configured import remember

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic.json_schema import JsonSchemaValue


SectionT = TypeVar("SectionT", bound="Section")

log = logging.getLogger(__name__)

_REFERENCE = re.compile(r"\A\$\{(env|file):([^}]+)\}\Z")


class Section(BaseModel):
    """A section of config.yaml: unknown keys are rejected, values are immutable, each field has a description."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def named_once(where: str, names: Iterable[str], same: Callable[[str], str]) -> tuple[str, ...]:
    """Return names without those that name the same thing again, which are logged as a warning.

    ``same`` returns what is equal for names of one thing. For use in a ``field_validator``.
    """
    first: dict[str, str] = {}
    again = []
    for name in names:
        if same(name) in first:
            again.append(name)
        else:
            first[same(name)] = name
    if again:
        log.warning("named more than once, and read once", extra={"key": where, "names": sorted(set(again))})
    return tuple(first.values())


class InWords:
    """Text that a pattern must match whole; what is invalid is answered in words. For use in ``Annotated[str, ...]``."""

    def __init__(self, pattern: str, words: str) -> None:
        self._pattern, self._words = pattern, words

    def _matched(self, value: Any) -> Any:
        if type(value) is int or (isinstance(value, str) and not re.fullmatch(self._pattern, value)):
            raise ValueError(f"must be {self._words}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._matched, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^(?:{self._pattern})$"}


FAIL_ON = r"(new:|open:)?(critical|high|medium|low|info)"
FAIL_ON_WORDS = "critical, high, medium, low or info, alone or after new: or open:, such as new:high"
FailOn: TypeAlias = Annotated[str, InWords(FAIL_ON, FAIL_ON_WORDS)]
MemorySize: TypeAlias = Annotated[str, InWords(r"\d+(MB|GB)", "a number with MB or GB, such as 512MB or 4GB")]


class SecretMissingError(ValueError):
    """A secret that config.yaml references is missing. The message names the reference, never a value."""


class SecretRef:
    """Where a secret is: ``${env:NAME}`` or ``${file:/path}``. The value is read when used and never stored."""

    def __init__(self, reference: str) -> None:
        match = _REFERENCE.match(reference)
        if match is None:
            raise ValueError("must be ${env:NAME} or ${file:/path}: config.yaml must not contain secrets")
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
        remember(value)
        return value.strip()

    def under(self, folder: Path) -> SecretRef:
        """Return the reference with a relative path resolved from a folder."""
        return SecretRef(f"${{file:{folder / self._where}}}") if self._kind == "file" else self

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
    """Rule parameters and custom rules."""

    params: dict[str, dict[str, float | int | str | list[str]]] = {}
    """Parameters by rule id: ``credential-unused: {days: 30}``."""
    disabled: list[str] = []
    """Ids of rules to disable."""
    custom: Path | None = None
    """A folder of custom rules, in the same format as the built-in ones."""
    frameworks: list[str] = list(CITED_BY_DEFAULT)
    """Frameworks whose controls findings and results cite; ``all`` stands for every one."""
    due_days: dict[Severity, int] = {"critical": 7, "high": 30, "medium": 60, "low": 90}
    """Days from first detection until a finding is overdue, by severity."""

    @field_validator("frameworks")
    @classmethod
    def _known(cls, frameworks: list[str]) -> list[str]:
        names = [*framework_names(), EVERY_FRAMEWORK]
        for name in frameworks:
            if name not in names:
                raise ValueError(f"no framework `{name}`; {nearest(name, names)}")
        return frameworks


class ReportSettings(Section):
    """Which reports are written. Each report with options has a section next to it: ``csv: {delimiter: ";"}``."""

    formats: list[str] = ["html", "csv", "json"]
    """Reports to write after every run: the module names under ``reports/``."""

    def of(self, name: str) -> Section | None:
        """Return the options of a report, or None if config.yaml sets none."""
        found: Section | None = getattr(self, name, None)
        return found

    @field_validator("formats")
    @classmethod
    def _known(cls, formats: list[str]) -> list[str]:

        for name in formats:
            if name not in report_names():
                raise ValueError(f"no report `{name}`; {nearest(name, report_names())}")
        return formats


class NotifySettings(Section):
    """Notifications about runs."""

    webhook: SecretRef | None = None
    """The URL to POST the summary to, as a reference, because webhook URLs contain secrets."""
    webhook_threshold: Severity = "high"
    """Notify about findings of this severity or higher that count as new: new and reopened ones, those whose
    exception has ended, and those whose severity has risen. Coverage loss and failures are always notified."""
    report_url: str | None = None
    """The URL of the report, included in the message."""
    ping_url: SecretRef | None = None
    """Heartbeat URL of ``run``: ``/start`` and ``/fail`` are appended as in healthchecks.io."""
    ca_bundle: Path | None = None
    """PEM file of the certificate authorities to trust for both. Default: the file in REQUESTS_CA_BUNDLE or SSL_CERT_FILE,
    or the authorities that come with the program."""

    @field_validator("report_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "https://unset")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an address that begins with https:// (or http://)")
        if parts.username or parts.password:
            raise ValueError("must not contain a user name or password: it is sent in every message")
        return value


class Limits(Section):
    """Time and resource limits."""

    workers: int = Field(default=8, ge=1, le=64)
    """Targets collected in parallel."""
    deadline_minutes: int = Field(default=300, ge=1)
    """After this time no new target is started, and the snapshot is sealed as partial."""
    memory: MemorySize = "1GB"
    """Memory limit of the analysis; it spills to disk above this."""
    threads: int = Field(default=2, ge=1, le=64)
    """Threads for analysis."""
    rule_minutes: float = Field(default=30, gt=0)
    """A rule whose query takes longer has failed; the others still run."""


class SuddenDrop(Section):
    """A complete listing that has far fewer rows than before resolves nothing until a second run confirms it."""

    share: float = Field(default=0.5, ge=0, le=1)
    """It must fall by more than this share of its rows, 0 to 1; 1 turns this off, but not the comparison with other
    answers."""
    rows: int = Field(default=5, ge=1)
    """And by at least so many rows."""


class Retention(Section):
    """What `sprawlscan prune` keeps."""

    daily: int = Field(default=35, ge=1)
    """The newest snapshot of each of this many days."""
    monthly: int = Field(default=14, ge=0)
    """The newest snapshot of each of this many months."""
    yearly: int = Field(default=7, ge=0)
    """The newest snapshot of each of this many years."""


class Settings(Section):
    """The whole config.yaml."""

    state: Path = Path("state")
    """The folder for snapshots, history and reports, created with mode 0700."""
    collectors: dict[str, list[Section]]
    """A section for each system, or a list of sections for several systems of one kind."""
    rules: RuleSettings = RuleSettings()
    """Rule parameters, disabled and custom rules."""
    exceptions: Path | None = None
    """exceptions.yaml: accepted risks, each with owner, approver, reason and expiry."""
    owners: Path | None = None
    """CSV file of owners: columns ``match`` (id, address or glob), ``owner``, and optionally ``environment``."""
    reports: ReportSettings = ReportSettings()
    """Reports and their options."""
    notify: NotifySettings = NotifySettings()
    """Notifications about runs."""
    limits: Limits = Limits()
    """Time and resource limits."""
    retention: Retention = Retention()
    """What `sprawlscan prune` keeps."""
    signing_key: SecretRef | None = None
    """A private Ed25519 key in PEM, as a reference: signs each line of the ledger, see ``sprawlscan verify``."""
    fail_on: FailOn | None = None
    """Exit with code 3 if there are findings of this severity or higher: ``new:high`` or ``high``. Without ``new``,
    findings that could not be checked again count too."""
    min_coverage: float = Field(default=0.8, ge=0, le=1)
    """Exit with 4 when less of the listings was answered than this, of those expected: 0 to 1."""
    sudden_drop: SuddenDrop = SuddenDrop()
    """When a listing fell so much that a second run must confirm it."""
    retired: list[str] = Field(default_factory=list)
    """Targets that are out of scope for good, as the finding `account-not-read` names them: ``github/acme``, or by a name
    that they had before. Their findings are not followed any more. A target that the configuration merely stops naming counts as not read."""
    max_unobserved: float = Field(default=0.2, ge=0, le=1)
    """Exit with 4 when a larger share of the findings that are not accepted could not be checked again: 0 to 1."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A validated config.yaml."""

    settings: Settings
    path: Path
    """The absolute path of the file. Relative paths in it are resolved from its folder."""
    digest: str
    """sha256 of the file, which contains no secrets."""
    document: Document | None = None
    """The file as it was written, to say where something stands; None when there is none."""
    selected: bool = False
    """True when the command line names what is read, in place of the file."""


class ConfigError(DocumentError):
    """config.yaml is invalid. One line for each problem: ``file:line:column: key: what; what to do``."""


def example() -> str:
    """Return config.example.yaml: every option with its default and its meaning."""
    top = Path(__file__).parents[1]
    installed = top / "sprawlscan" / "config.example.yaml"
    return (installed if installed.is_file() else top / "config.example.yaml").read_text(encoding="utf-8")


def load(path: Path) -> Loaded:
    """Read and validate config.yaml. Raises `ConfigError` with every problem found.

    What it says of rules is checked with the rules, in `scanner.pipeline.inputs`.
    """
    try:
        raw = path.read_bytes()
        document = Document(path, raw.decode("utf-8-sig"))
    except OSError as exc:
        advice = "Run `sprawlscan example > config.yaml` to create one, or use --config to name another file."
        raise ConfigError([f"{path}: {exc.strerror}. {advice}"]) from None
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path}: not UTF-8: {exc.reason}"]) from None
    except DocumentError as exc:
        raise ConfigError(exc.problems) from None
    settings = _from_folder(_validated(document), path.resolve().parent)
    digest = hashlib.sha256(raw).hexdigest()
    return Loaded(settings=settings, path=path.resolve(), digest=digest, document=document)


def _validated(document: Document) -> Settings:
    if not isinstance(document.value, dict):
        what = "must be a mapping with the key `collectors`; see `sprawlscan example`"
        raise ConfigError([document.problem((), what)])
    chosen = document.value.get("collectors")
    if not isinstance(chosen, dict) or not chosen:
        unknown = document.unknown_keys(document.value, Settings.model_fields, ())
        if unknown:
            raise ConfigError(unknown)
        what = f"name at least one of: {', '.join(collector_names())}"
        raise ConfigError([document.problem(("collectors",), what)])
    # null means the default: a key whose lines are all commented out.
    rest = {str(key): value for key, value in document.value.items() if value is not None}
    problems: list[str] = []
    sections: dict[str, list[Section]] = {}
    for key, given in chosen.items():
        name = str(key)
        try:
            model = load_collector(name).Config
        except LookupError:
            what = f"no such collector; {nearest(name, collector_names())}"
            problems.append(document.problem(("collectors", name), what))
            continue
        several = isinstance(given, list)
        if several and not given:
            problems.append(document.problem(("collectors", name), "must not be an empty list"))
        for index, part in enumerate(given if several else [given]):
            try:
                section = model.model_validate({} if part is None else part)
                sections.setdefault(name, []).append(section)
            except ValidationError as exc:
                prefix = ("collectors", name, *((index,) if several else ()))
                problems += _problems(document, model, prefix, exc)
    try:
        settings = Settings.model_validate({**rest, "collectors": {}, "reports": {}})
    except ValidationError as exc:
        problems += _problems(document, Settings, (), exc)
    model = reports_section()
    try:
        reports = model.model_validate(rest.get("reports", {}))
        problems += _mismatched(document, reports)
    except ValidationError as exc:
        problems += _problems(document, model, ("reports",), exc)
    if problems:
        raise ConfigError(problems)
    return settings.model_copy(update={"collectors": sections, "reports": reports})


@cache
def reports_section() -> type[ReportSettings]:
    """Return the model of the section ``reports``: a key for each installed report that has options."""
    models = {name: report_config(name) for name in report_names()}
    fields: dict[str, Any] = {
        name: (model | None, Field(default=None, description=model.__doc__))
        for name, model in models.items()
        if model is not None
    }
    return create_model("Reports", __base__=ReportSettings, **fields)


def _mismatched(document: Document, reports: ReportSettings) -> list[str]:
    """Return a problem for each report that has options but is not enabled, or is enabled but lacks an option."""
    problems = []
    for name in reports.formats:
        model: type[BaseModel] | None = report_config(name)
        needed = [key for key, field in model.model_fields.items() if field.is_required()] if model else []
        if needed and reports.of(name) is None:
            what = f"is missing; the report needs {', '.join(needed)}"
            problems.append(document.problem(("reports", name), what))
    return problems + [
        document.problem(
            ("reports", name),
            f"this report is not enabled; add {name} to reports.formats, or remove this section",
        )
        for name in type(reports).model_fields
        if reports.of(name) is not None and name != "formats" and name not in reports.formats
    ]


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


def _problems(document: Document, model: type[BaseModel], prefix: Where, found: ValidationError) -> list[str]:
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


def _from_folder(section: SectionT, folder: Path) -> SectionT:
    """Resolve relative paths from the folder of config.yaml, not from the working directory."""

    def resolved(value: Any) -> Any:
        if isinstance(value, Path):
            return folder / value.expanduser()
        if isinstance(value, SecretRef):
            return value.under(folder)
        if isinstance(value, Section):
            return _from_folder(value, folder)
        if isinstance(value, list | tuple):
            return type(value)(resolved(item) for item in value)
        if isinstance(value, dict):
            return {key: resolved(item) for key, item in value.items()}
        return value

    return section.model_copy(
        update={name: resolved(getattr(section, name)) for name in type(section).model_fields}
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of config.yaml, for editors, with the sections of every installed collector and report."""
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
    reports = reports_section().model_json_schema(ref_template="#/$defs/reports.{model}")
    for key, value in reports.pop("$defs", {}).items():
        definitions[f"reports.{key}"] = value
    definitions[ReportSettings.__name__] = reports
    schema["properties"]["collectors"] = {
        "type": "object",
        "description": "A section for each system, or a list of sections for several systems of one kind.",
        "properties": collectors,
        "additionalProperties": False,
        "minProperties": 1,
    }
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema
