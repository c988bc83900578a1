"""``Jenkinsfile`` -> `Definition`, with confidence low: it is a Groovy program, and only literal calls are recognized.

Steps: https://www.jenkins.io/doc/pipeline/steps/credentials-binding/, https://www.jenkins.io/doc/book/pipeline/syntax/,
https://www.jenkins.io/doc/pipeline/steps/pipeline-aws/, https://plugins.jenkins.io/hashicorp-vault-plugin/.
"""

from __future__ import annotations

import bisect
import itertools
import re
from typing import TYPE_CHECKING

from collectors.definitions.builder import DefinitionBuilder
from collectors.definitions.definition import HardCoded, Job, JobRunner, Login, Reference, Unresolved, Use
from collectors.definitions.jenkins.groovy import closings, masked, strings, without_comments
from collectors.definitions.shell.variables import Shell, service_of
from collectors.definitions.yaml_nodes import Scalar
from scanner.secrets.detectors import inspect

if TYPE_CHECKING:
    from collectors.definitions.definition import Definition, Pin
    from collectors.definitions.jenkins.groovy import Text
    from scanner.secrets.detectors import Fingerprint

_VALUE = r"""(?:['"]|[A-Za-z_][\w.]*)"""
_ID = re.compile(
    rf"\b(?P<key>\w*[cC]redentials?Id)\s*[:=(]\s*(?P<id>{_VALUE})|\bcredentials\s*\(\s*(?P<helper>{_VALUE})"
    rf"|\bazureServicePrincipal\s*\(\s*(?P<only>['\"])|\bauthentication\s*:\s*(?P<login>['\"])"
    rf"|\bwithAWS\s*\([^()]{{0,300}}?\bcredentials\s*:\s*(?P<aws>{_VALUE})"
    rf"|\bdocker\.with(?:Registry|Server)\s*\(\s*[^(),]{{0,300}},\s*(?P<registry>{_VALUE})"
)
_GROUPS = ("id", "helper", "only", "login", "aws", "registry")
_SSHAGENT = re.compile(r"""\bsshagent\b\s*(?P<open>[(\[{]|['"])""")
_BINDING = re.compile(
    r"\b(?P<kind>aws|azureServicePrincipal|string|usernamePassword|usernameColonPassword|file|zip|certificate|sshUserPrivateKey|"
    r"gitUsernamePassword|vaultString|vaultFile|dockerCert|conjurSecretCredential)\s*(?P<open>\()"
    r"""|\[\s*\$class\s*:\s*['"](?P<class>\x01+)"""
)
_VARIABLE = re.compile(r"""\b(?:\w*[vV]ariable|envVar)\s*:\s*['"]""")
_CLASSES = {
    "AmazonWebServicesCredentialsBinding": "aws",
    "AzureCredentialsBinding": "azureServicePrincipal",
}
_CLOUDS = {"aws": "aws", "azureServicePrincipal": "azure"}
_DEFAULTS = {
    "aws": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "azureServicePrincipal": ("AZURE_SUBSCRIPTION_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"),
}  # fmt: skip
"""Default variables that a kind binds."""
_VAULT = re.compile(r"\bwithVault\s*(?P<open>[(\[{])|\[\s*\$class\s*:\s*['\"](?P<class>\x01+)")
_PATH = re.compile(r"""\bpath\s*:\s*['"]""")
_VAULT_LOGIN = re.compile(rf"\bvaultCredentialId\s*:\s*(?P<id>{_VALUE})")
_ROLE = re.compile(r"""\bwithAWS\s*\([^()]{0,300}?\brole\s*:\s*['"]""")
_ROLE_ACCOUNT = re.compile(r"""\broleAccount\s*:\s*['"]""")
_LABEL = re.compile(r"""(?:\blabel\s+|\bnode\s*\(\s*|\blabel\s*:\s*)['"]""")
_LIBRARY = re.compile(
    r"""@Library\s*\(\s*(?:value\s*[:=]\s*)?(?P<open>\[?)|\blibrary\s*(?:\(\s*)?(?:identifier\s*:\s*)?(?=['"])"""
)
_IMAGE = re.compile(r"""(?:\bdocker\.image\s*\(\s*|\bimage\s*[:(]?\s*)['"]""")
_POD_IMAGE = re.compile(r"""(?m)^[ \t]*(?:-[ \t]+)?image:[ \t]*["']?(?P<image>[^\s"'#$]+)""")
_SHELL = re.compile(r"\b(?:sh|bat|powershell|pwsh)\b")
_GIVEN = re.compile(r"[ \t]*(?:[^;{}\n()=]{0,200}|\([^;{}()]{0,400})")
"""The text between the name of a shell step and its script."""
_ASSIGNED = re.compile(r"(?:\b(?:env|params)\.|\A|[\s;{(])(?P<name>[A-Za-z_]\w*)\s*=\s*\Z")
_NAMED = re.compile(r"\b(?P<name>[A-Za-z_]\w*)\s*:\s*\Z")
_DEFAULT_VALUE = re.compile(
    r"""\bname\s*:\s*['"](?P<mask>\x01{1,100})['"][^()\n]{0,200}\b(?:defaultV|v)alue\s*:\s*\Z"""
)
_PASSWORD_PARAMETER = re.compile(r"\bpassword\s*\(?[^()\n]{0,300}\Z")
_PAIR = re.compile(r"(?P<name>[A-Za-z_]\w{2,80})=(?P<value>.{3,4000})", re.DOTALL)
_CHOSEN = re.compile(r"""\b(?:choice|booleanParam)\s*\(?[^()\n]{0,200}?\bname\s*:\s*['"]""")
_NO_SECRET = frozenset(
    ("credentials", "credential", "authentication", "secret", "secrets", "tokens", "key", "keys", "pass")
)
"""Named arguments that take the id of a credential, or a kind."""
_INJECTED = re.compile(
    r"""(?P<escaped>\\?)\$\{?\s*(?:env\.)?(?P<name>CHANGE_(?:TITLE|BRANCH|AUTHOR\w*|FORK)|BRANCH_NAME|GIT_BRANCH|TAG_NAME|params\.\w+|"""
    r"ghprb(?:Pull(?:Title|LongDescription|Description|AuthorLogin)|SourceBranch|CommentBody)|gitlab(?:SourceBranch|MergeRequest(?:Title|Description)|Branch))\b"
)
_ADDED = re.compile(
    r"\b(?:sh|bat|powershell|pwsh)\b[^;{}\n]{0,300}?\+\s*(?:env\.)?(?P<name>params\.\w+|CHANGE_\w+|BRANCH_NAME|GIT_BRANCH|TAG_NAME)"
)
_FILLED = re.compile(r"(?<!\\)\$[{\w]")
_LONGEST_CALL = 8_000
_MOST_CALLS = 2_000
"""Maximum calls of a kind; real files have a few dozen."""
_BEFORE = 450
"""Characters before a string that are examined for the name it is assigned to."""


def parse(path: str, source: str, fingerprint: Fingerprint) -> Definition:
    """Parse the literal calls of a Jenkinsfile. Never raises because of its content."""
    return _Reader(path, source, fingerprint).definition()


class _Reader:
    def __init__(self, path: str, source: str, fingerprint: Fingerprint) -> None:
        self.out = DefinitionBuilder(path, "jenkinsfile", fingerprint)
        self.fingerprint = fingerprint
        text = without_comments(source)
        self.texts = list(strings(text))
        self.code = masked(text, self.texts)
        self.at = {found.opening: found for found in self.texts}
        self.openings = [found.opening for found in self.texts]
        self.closings = closings(self.code)
        self.whole = Scalar(text, 1, 1, None, "")
        self.constants: dict[str, str] = {}
        self.shell = Shell({})
        self.stored: dict[str, str] = {}
        """Variable to the id of the credential bound to it."""

    def definition(self) -> Definition:
        out = self.out
        self._literals()
        self._bindings()
        self._credentials()
        self._vault()
        for match in _ROLE.finditer(self.code):
            # The plugin assumes the role with the agent's or a stored identity, not with an OIDC token.
            role = self._string(match.end() - 1)
            out.unresolved.append(
                Unresolved(
                    line=self._line(match.start()),
                    what=f"assumes the role {role} with the agent's own identity",
                )
            )
        for match in _ROLE_ACCOUNT.finditer(self.code):
            account = self._string(match.end() - 1)
            out.unresolved.append(
                Unresolved(line=self._line(match.start()), what=f"assumes a role in account {account}")
            )
        self._libraries()
        self._images()
        self._scripts()
        found = (self._string(match.end() - 1) for match in _LABEL.finditer(self.code))
        labels = list(dict.fromkeys(label for label in found if label))
        out.jobs.append(Job(name="pipeline", line=1, runner=JobRunner(kind="self-hosted", labels=labels)))
        if "pipeline" in self.code or "node" in self.code:
            out.unresolved.append(
                Unresolved(line=1, what="a Jenkinsfile is a program: only literal values are read")
            )
        out.static_logins(self.shell, 1, job=None, environment=None, stored=self.stored)
        return out.definition(low=True)

    def _line(self, offset: int) -> int:
        return self.whole.line_breaks(offset)[0] + 1

    def _closing(self, opening: int) -> int:
        """Return the offset of the closing bracket, within the maximum length of a call."""
        end = min(len(self.code), opening + _LONGEST_CALL)
        return min(self.closings.get(opening, end), end)

    def _within(self, start: int, end: int) -> list[Text]:
        """Return the strings between two offsets."""
        first = bisect.bisect_left(self.openings, start)
        return self.texts[first : bisect.bisect_right(self.openings, end)]

    def _string(self, opening: int) -> str | None:
        """Return the string literal whose opening quotes are at an offset."""
        found = self.at.get(opening)
        return found.value if found is not None else None

    def _value(self, offset: int, seen: str) -> str | None:
        """Return a value: a string, or the value that the file assigns to a variable."""
        if seen not in {"'", '"'}:
            return self.constants.get(seen.removeprefix("env.").removeprefix("params."))
        value = self._string(offset)
        whole = re.fullmatch(r"\$\{?(?:env\.|params\.)?(\w+)\}?", value) if value else None
        return self.constants.get(whole.group(1), value) if whole else value

    def _literals(self) -> None:
        """Record variables, and evaluate strings with the names they are assigned to."""
        for found in self.texts:
            start = max(0, found.opening - _BEFORE)
            before = self.code[start : found.opening]
            assigned = _ASSIGNED.search(before)
            named = assigned or _NAMED.search(before)
            name = named["name"] if named else ""
            if assigned and len(found.value) <= 2_000:
                self.constants.setdefault(name, found.value)
            default = _DEFAULT_VALUE.search(before)
            if default is not None:
                name = self._string(start + default.start("mask") - 1) or name
                name = "password" if _PASSWORD_PARAMETER.search(before) else name
                assigned = default
            value = found.value
            pair = _PAIR.fullmatch(value) if not name else None
            if pair is not None and before.rstrip().endswith(("[", ",")):
                name, value, assigned = pair["name"], pair["value"], pair  # withEnv(['NAME=value'])
            if found.filled and _FILLED.search(value):
                continue
            variable = name if assigned or name.lower() not in _NO_SECRET else ""
            seen = inspect(variable, value, self.fingerprint)
            if seen is None or seen.looks_like == "credential":
                continue  # the id of a stored one
            if "\n" in value and (seen.looks_like, seen.recognized_by) != ("private-key", "value"):
                continue  # scripts are evaluated line by line
            line = self._line(found.opening)
            self.out.hard_coded.append(
                HardCoded(name=name or seen.looks_like, line=line, column=1, seen=seen)
            )
        self.shell.env.update((name, value) for name, value in self.constants.items() if len(value) <= 300)

    def _bindings(self) -> None:
        """Record the variables that ``withCredentials`` binds, and the sign-ins that its kinds imply."""
        for match in itertools.islice(_BINDING.finditer(self.code), _MOST_CALLS):
            kind = match["kind"] or _CLASSES.get(self._string(match.start("class") - 1) or "", "")
            end = self._closing(match.start("open") if match["kind"] else match.start())
            found = _ID.search(self.code, match.start(), end)
            group = "id" if found and found["id"] else "only"
            if found is None or not found[group]:
                continue
            at = found.start(group)
            name = self._value(at, found[group])
            named = (self._string(var.end() - 1) for var in _VARIABLE.finditer(self.code, match.start(), end))
            bound = [*(variable for variable in named if variable), *_DEFAULTS.get(kind, ())]
            for variable in bound:
                self.stored.setdefault(variable, name or "")
                self.shell.env.setdefault(variable, "")
            # A plain secret under a variable name that a cloud's tools read is also a sign-in.
            services = {_CLOUDS.get(kind), *(service_of(variable) for variable in bound)} - {None}
            for service in sorted(service for service in services if service):
                self._login(service, name, at)

    def _login(self, service: str, name: str | None, at: int) -> None:
        self.out.logins.append(
            Login(service=service, how="static", secrets=[name] if name else [], line=self._line(at))
        )

    def _refer(self, name: str, at: int, store: str) -> None:
        line, start = self.whole.line_breaks(at)
        self.out.secrets.append(
            Reference(name=name, line=line + 1, column=at - start + 1, scope="job", store=store)
        )

    def _credentials(self) -> None:
        """Record the ids of stored credentials, in the order of the file."""
        found: dict[int, str] = {}
        for match in _ID.finditer(self.code):
            group = next(group for group in _GROUPS if match[group])
            at, seen = match.start(group), match[group]
            name = self._value(at, seen)
            if name is None:
                if seen not in {"'", '"', "null", "it"}:
                    self.out.unresolved.append(
                        Unresolved(line=self._line(at), what=f"the credential id {seen} is computed")
                    )
                continue
            found[at] = name
            if group == "aws" or match["key"] == "azureCredentialsId":
                self._login("aws" if group == "aws" else "azure", name, at)
            elif group == "registry":
                self._login("registry", name, at)
            elif group == "helper":
                variable = _ASSIGNED.search(self.code[max(0, match.start() - _BEFORE) : match.start()])
                for suffix in ("", "_USR", "_PSW") if variable else ():
                    self.stored.setdefault(f"{variable['name'] if variable else ''}{suffix}", name)
                    self.shell.env.setdefault(f"{variable['name'] if variable else ''}{suffix}", "")
        for match in itertools.islice(_SSHAGENT.finditer(self.code), _MOST_CALLS):
            opening = match.start("open")
            end = self._closing(opening) if match["open"] in "([{" else opening
            for text in self._within(opening, end):
                found.setdefault(text.opening, text.value)
        for at in sorted(found):
            if found[at]:
                self._refer(found[at], at, "jenkins-credentials")

    def _vault(self) -> None:
        """Record the secrets that HashiCorp Vault's plugin reads: ``withVault(...)`` and its older wrapper."""
        for match in itertools.islice(_VAULT.finditer(self.code), _MOST_CALLS):
            if match["class"] and self._string(match.start("class") - 1) != "VaultBuildWrapper":
                continue
            end = self._closing(match.start("open") if match["open"] else match.start())
            login = _VAULT_LOGIN.search(self.code, match.start(), end)
            self._login(
                "vault", self._value(login.start("id"), login["id"]) if login else None, match.start()
            )
            for path in _PATH.finditer(self.code, match.start(), end):
                name = self._string(path.end() - 1)
                if name:
                    self._refer(name, path.end() - 1, "vault")
            for found in _VARIABLE.finditer(self.code, match.start(), end):
                variable = self._string(found.end() - 1)
                if variable:
                    self.shell.env.setdefault(variable, "")

    def _libraries(self) -> None:
        for match in itertools.islice(_LIBRARY.finditer(self.code), _MOST_CALLS):
            if match["open"] == "[":
                end = self._closing(match.end() - 1)
                found = self._within(match.end(), end)
            else:
                found = [text for text in (self.at.get(match.end()),) if text]
            for text in found:
                _library(self.out, text.value, self._line(match.start()))

    def _images(self) -> None:
        for match in _IMAGE.finditer(self.code):
            image = self._string(match.end() - 1)
            if image and "$" not in image:
                self.out.image(image, self._line(match.start()), None)
        for found in self.texts:
            if "image:" not in found.value or "\n" not in found.value:
                continue  # a pod in YAML has more than one line
            for match in _POD_IMAGE.finditer(found.value):
                line = self._line(found.start) + found.value.count("\n", 0, match.start("image"))
                self.out.image(match["image"], line, None)

    def _scripts(self) -> None:
        chosen = {self._string(match.end() - 1) for match in _CHOSEN.finditer(self.code)}
        steps = [match.end() for match in _SHELL.finditer(self.code)]
        for found in self.texts:
            last = bisect.bisect_right(steps, found.opening) - 1
            if last < 0 or not _GIVEN.fullmatch(self.code, steps[last], found.opening):
                continue
            value = found.value.replace("\\$", "$") if found.filled else found.value
            script = Scalar(value, self._line(found.start), 1, None, "")
            self.out.script(script, job=None, shell=self.shell, scope="step")
            if found.filled:
                self._injections(found, chosen)
        for match in _ADDED.finditer(self.code):
            if match["name"].removeprefix("params.") not in chosen:
                self._injection(match["name"], self._line(match.end()))

    def _injections(self, found: Text, chosen: set[str | None]) -> None:
        for match in _INJECTED.finditer(found.value):
            if not match["escaped"] and match["name"].removeprefix("params.") not in chosen:
                line = self._line(found.start) + found.value.count("\n", 0, match.start())
                self._injection(match["name"], line)

    def _injection(self, name: str, line: int) -> None:
        tame = name.startswith(("params.", "BRANCH_NAME", "GIT_BRANCH", "TAG_NAME"))
        self.out.problem(
            "template-injection", line, f"{name} is expanded into the shell script by Groovy before it runs",
            severity="medium" if tame else "high",
            fix="Write the script in single quotes and use the quoted shell variable.",
        )  # fmt: skip


def _library(out: DefinitionBuilder, library: str, line: int) -> None:
    name, _, ref = library.partition("@")
    pin: Pin = (
        "none"
        if not ref
        else "expression"
        if "$" in ref
        else "sha"
        if re.fullmatch(r"[0-9a-f]{40}", ref)
        else "tag"
        if re.match(r"v?\d", ref)
        else "branch"
    )
    out.uses.append(Use(kind="library", name=name, ref=ref or None, pin=pin, third_party=False, line=line))
    if pin in {"none", "branch"}:
        out.problem(
            "unpinned-include", line, f"the shared library {library} is not pinned: anyone who can push to it can change this pipeline",
            severity="low", fix="Reference a tag or commit after @ and protect the library's branches.",
        )  # fmt: skip
