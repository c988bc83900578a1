"""``Jenkinsfile`` -> `Definition`, with confidence low: it is a Groovy program, and only literal calls are seen.

Steps: https://www.jenkins.io/doc/pipeline/steps/credentials-binding/, https://www.jenkins.io/doc/book/pipeline/syntax/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from collectors.ci_files.definition import Definition, HardCoded, Job, Login, Reference, Runner, Use
from collectors.ci_files.gathered import Gathered
from collectors.ci_files.yaml_nodes import Scalar
from scanner.detectors import inspect

if TYPE_CHECKING:
    from collectors.ci_files.definition import Pin
    from scanner.detectors import Fingerprint

_COMMENT = re.compile(r"/\*(?:[^*]|\*(?!/))*+\*/|(?<![:\w\"'])//[^\n]*")
_CREDENTIAL = re.compile(
    r"(?:\bcredentials\s*\(\s*|\bcredentialsId\s*[:=]\s*|\bcredentials\s*:\s*\[?\s*|\bsshagent\s*\(?\s*(?:credentials\s*:\s*)?\[?\s*|"
    r"\bwithCredentials\s*\(\s*\[?\s*azureServicePrincipal\s*\(\s*|\bwithAWS\s*\([^)]{0,200}?\bcredentials\s*:\s*|\bazureServicePrincipal\s*\(\s*)"
    r"(?P<quote>['\"])(?P<name>[^'\"\n]{1,200})(?P=quote)"
)
_ROLE = re.compile(r"\bwithAWS\s*\([^)]{0,300}?\brole\s*:\s*['\"](?P<role>[^'\"\n]+)['\"]")
_ROLE_ACCOUNT = re.compile(r"\broleAccount\s*:\s*['\"](?P<account>\d{12})['\"]")
_LABEL = re.compile(r"(?:\blabel\s+|\bnode\s*\(\s*|\bagent\s*\{\s*label\s+)['\"](?P<label>[^'\"\n]+)['\"]")
_LIBRARY = re.compile(
    r"(?:@Library\s*\(\s*\[?|\blibrary\s*\(?\s*(?:identifier\s*:\s*)?)(?P<all>['\"][^)\]\n]+)"
)
_IMAGE = re.compile(r"(?:\bdocker\.image\s*\(\s*|\bimage\s+)['\"](?P<image>[^'\"\n$]+)['\"]")
_SHELL = re.compile(
    r"\b(?:sh|bat|powershell|pwsh)\s*\(?\s*(?:script\s*:\s*)?(?:\"\"\"(?P<d>(?:[^\"]|\"(?!\"\"))*+)\"\"\"|'''(?P<s>(?:[^']|'(?!''))*+)'''|\"(?P<d1>[^\"\n]*+)\"|'(?P<s1>[^'\n]*+)')"
)
_ENVIRONMENT = re.compile(
    r"^\s*(?P<name>[A-Z_][A-Z0-9_]*)\s*=\s*(?P<quote>['\"])(?P<value>[^'\"\n]{1,2000})(?P=quote)\s*$",
    re.MULTILINE,
)
_INJECTED = re.compile(
    r"\$\{?(?:env\.)?(?P<name>CHANGE_(?:TITLE|BRANCH|AUTHOR\w*|FORK)|BRANCH_NAME|GIT_BRANCH|params\.\w+|TAG_NAME)"
)


def parse(path: str, source: str, fingerprint: Fingerprint) -> Definition:
    """Read what a Jenkinsfile says literally. Never raises for its content."""
    text = _COMMENT.sub(lambda match: "\n" * match.group().count("\n"), source)
    out = Gathered(path, "jenkinsfile", fingerprint)

    whole = Scalar(text, 1, 1, None, "")

    def line(offset: int) -> int:
        return whole.line_breaks(offset)[0] + 1

    for match in _CREDENTIAL.finditer(text):
        out.secrets.append(
            Reference(
                name=match["name"], line=line(match.start("name")),
                column=match.start("name") - text.rfind("\n", 0, match.start("name")), scope="job", store="jenkins-credentials",
            )
        )  # fmt: skip
        binding = text[max(0, match.start() - 150) : match.start()].rpartition("[")[2] + match.group()
        if "zureServicePrincipal" in binding:
            service = "azure"
        elif "withAWS" in binding or "AmazonWebServicesCredentialsBinding" in binding:
            service = "aws"
        else:
            continue
        out.logins.append(
            Login(service=service, how="static", secrets=[match["name"]], line=line(match.start("name")))
        )
    for match in _ROLE.finditer(text):
        # The plugin assumes the role with the agent's or a stored identity: no OIDC token is in play.
        out.indirect.append(
            f"line {line(match.start())}: assumes the role {match['role']} with the agent's own identity"
        )
    for match in _ROLE_ACCOUNT.finditer(text):
        out.indirect.append(f"line {line(match.start())}: assumes a role in account {match['account']}")
    for match in _LIBRARY.finditer(text):
        for library in re.findall(r"['\"]([^'\"]+)['\"]", match["all"]):
            _library(out, library, line(match.start()))
    for match in _IMAGE.finditer(text):
        out.image(match["image"], line(match.start()), None)
    env: dict[str, str] = {}
    for match in _ENVIRONMENT.finditer(text):
        env[match["name"]] = match["value"]
        seen = inspect(match["name"], match["value"], fingerprint)
        if seen is not None:
            out.hard_coded.append(
                HardCoded(name=match["name"], line=line(match.start("name")), column=1, seen=seen)
            )
    for match in _SHELL.finditer(text):
        group = match.lastgroup or "s1"
        script, start = match.group(group), line(match.start(group))
        out.script(Scalar(script, start, 1, None, ""), job=None, env=env, scope="step")
        if group.startswith("d"):
            for injected in _INJECTED.finditer(script):
                name = injected["name"]
                if f"${{{name}}}" in script or "params." in name or "env." in injected.group():
                    out.problem(
                        "template-injection", start + script.count("\n", 0, injected.start()),
                        f"{name} is pasted into the shell script by Groovy before it runs",
                        severity="high" if name.startswith("CHANGE_") else "medium",
                        fix="Write the script in single quotes and let the shell read the variable, quoted.",
                    )  # fmt: skip
    labels = list(dict.fromkeys(match["label"] for match in _LABEL.finditer(text)))
    first = source.split("\n", 1)[0] if source else ""
    out.jobs.append(Job(name="pipeline", line=1, runner=Runner(kind="self-hosted", labels=labels)))
    if first.startswith("#!groovy") or "pipeline" in text or "node" in text:
        out.indirect.append("line 1: a Jenkinsfile is a program: only what stands in it literally is seen")
    return out.definition(low=True)


def _library(out: Gathered, library: str, line: int) -> None:
    name, _, ref = library.partition("@")
    pin: Pin = (
        "none"
        if not ref
        else "sha"
        if re.fullmatch(r"[0-9a-f]{40}", ref)
        else "tag"
        if re.match(r"v?\d", ref)
        else "branch"
    )
    out.uses.append(Use(kind="library", name=name, ref=ref or None, pin=pin, third_party=False, line=line))
    if pin in {"none", "branch"}:
        out.problem(
            "unpinned-include", line, f"the shared library {library} is not pinned: whoever may push to it changes this pipeline",
            severity="low", fix="Name a tag or commit after @, and protect the library's branches.",
        )  # fmt: skip
