"""Commands that run code of the folder in which they start, as a table.

A build tool runs what the folder's files say (`Makefile`, ``package.json`` scripts, ``conftest.py``, plugins of a linter);
``grep`` or ``jq`` only read them. https://securitylab.github.com/resources/github-actions-preventing-pwn-requests/ and
https://boostsecurityio.github.io/lotp/ (the list of such tools). A program that is not in the table is unknown.
"""

from __future__ import annotations

import re

from collectors.definitions.shell.words import MAX_SCRIPT, commands

_RUNS: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        ["make", "gmake", "cmake", "ninja", "just", "task", "rake", "ant", "bazel", "bazelisk", "buck2", "pants", "scons", "meson", "tup", "earthly", "dagger", "npx", "bunx", "tsx", "ts-node", "deno", "nx", "turbo", "lerna", "gulp", "grunt", "webpack", "vite", "rollup", "jest", "vitest", "mocha", "cypress", "playwright", "eslint", "prettier", "stylelint", "biome", "tsc", "husky", "python", "python2", "python3", "pytest", "tox", "nox", "uvx", "pipx", "pre-commit", "mypy", "pylint", "flake8", "hatch", "pdm", "sphinx-build", "mkdocs", "jupyter", "bundle", "bundler", "jekyll", "rspec", "rubocop", "ruby", "perl", "php", "phpunit", "composer", "pod", "fastlane", "gradle", "gradlew", "mvn", "mvnw", "sbt", "lein", "java", "scala", "kotlin", "swift", "xcodebuild", "node", "ansible", "ansible-playbook", "molecule", "tflint", "terragrunt", "pulumi", "cdk", "serverless", "sls", "sam", "goreleaser", "ko", "skaffold", "tilt", "packer", "vagrant", "msbuild", "nuke", "cake", "mix", "rebar3", "stack", "cabal", "opam", "dune", "zig", "dub", "shards", "crystal", "bash", "sh", "zsh", "dash", "ash", "ksh", "fish", "pwsh", "powershell", "source", ".", "checkov", "actionlint", "conda", "mamba", "pixi"],
        frozenset(),
    ),
    "npm": frozenset(("ci", "i", "install", "it", "test", "t", "run", "run-script", "start", "exec", "x", "rebuild", "pack", "publish", "init", "update")),
    "yarn": frozenset(), "pnpm": frozenset(), "bun": frozenset(),
    "pip": frozenset(("install", "wheel", "download")), "pip3": frozenset(("install", "wheel", "download")),
    "uv": frozenset(("run", "sync", "pip", "build", "publish", "tool", "lock")), "poetry": frozenset(("install", "run", "build", "publish")),
    "cargo": frozenset(("build", "b", "test", "t", "run", "r", "check", "c", "clippy", "doc", "bench", "install", "publish", "package", "nextest", "make", "xtask")),
    "go": frozenset(("run", "test", "generate", "build", "install", "tool")),
    "dotnet": frozenset(("build", "test", "run", "publish", "pack", "restore", "msbuild", "tool", "format")),
    "docker": frozenset(("build", "buildx", "compose", "image")), "podman": frozenset(("build", "compose")),
    "buildah": frozenset(("bud", "build")), "nerdctl": frozenset(("build", "compose")), "docker-compose": frozenset(),
    "terraform": frozenset(("init", "plan", "apply", "test", "validate")), "tofu": frozenset(("init", "plan", "apply", "test", "validate")),
    "helm": frozenset(("dependency", "template", "install", "upgrade", "plugin")), "kustomize": frozenset(("build",)),
    "kubectl": frozenset(("apply", "create", "kustomize")), "nix": frozenset(), "nix-build": frozenset(), "nix-shell": frozenset(),
    "git": frozenset(("submodule",)), "sed": frozenset(("-f",)), "awk": frozenset(("-f",)), "xargs": frozenset(),
}  # fmt: skip
"""Program to the first words after it with which it runs code of the folder; none: always."""
_UNWRAPPED = frozenset(
    ("time", "timeout", "nice", "stdbuf", "xvfb-run", "catchsegv", "retry", "run", "winpty")
)
_LOCAL = re.compile(
    r"(?:\.{1,2}/|\$\{?(?:GITHUB_WORKSPACE|CI_PROJECT_DIR|PWD)\}?/)\S|(?:scripts?|bin|tools?|ci|hack|build|tests?)/[\w./-]+$"
)
"""A program of the folder: ``./gradlew``, ``scripts/build.sh``."""
_ANY = re.compile(r"\S")


def runs_local_code(script: str) -> bool | None:
    """Return whether a script runs code of the folder in which it starts; None if a program is unknown."""
    unknown = False
    for command in commands(script[:MAX_SCRIPT], _ANY):
        verdict = _command(command.words)
        if verdict:
            return True
        unknown = unknown or verdict is None
    return None if unknown else False


def _first_words(rest: list[str]) -> list[str]:
    """Return the options of a program and its first word, or the word behind it, if that may be the value of an option."""
    at = next((at for at, word in enumerate(rest) if not word.startswith("-")), len(rest))
    return rest[: at + (2 if at and "=" not in rest[at - 1] else 1)]


def _command(words: list[str], depth: int = 0) -> bool | None:
    program = words[0]
    if _LOCAL.match(program):
        return True
    name = program.rsplit("/", 1)[-1].lower().removesuffix(".exe").removesuffix(".cmd")
    rest = [word for word in words[1:] if not word.startswith("+")]
    if name in _UNWRAPPED and depth < 3:
        inner = next((at for at, word in enumerate(rest) if not word.startswith("-") and not re.fullmatch(r"[\d.]+[smh]?", word)), None)  # fmt: skip
        return None if inner is None else _command(rest[inner:], depth + 1)
    if name == "xargs":
        inner = next(
            (at for at, word in enumerate(rest) if not word.startswith("-") and not word.isdigit()), None
        )
        return False if inner is None or depth > 3 else _command(rest[inner:], depth + 1)
    if name == "find":
        at = next((at for at, word in enumerate(rest) if word in {"-exec", "-execdir", "-ok"}), None)
        return (
            _command(rest[at + 1 :], depth + 1) if at is not None and rest[at + 1 :] and depth < 3 else False
        )
    if re.fullmatch(r"python[\d.]*|node|ruby|perl|php", name) and rest[:1] in (["--version"], ["-V"], ["-v"]):
        return False
    if re.fullmatch(r"python3?\.\d+", name):
        return True
    known = _RUNS.get(name)
    if known is not None:
        return not known or any(word in known for word in _first_words(rest))
    return (
        False
        if name in _ONLY_READ or "=" in program or program.startswith(("$computed", "#", "[", "("))
        else None
    )


_ONLY_READ = frozenset(
    [
        "grep",
        "egrep",
        "fgrep",
        "rg",
        "cat",
        "ls",
        "head",
        "tail",
        "wc",
        "sort",
        "uniq",
        "cut",
        "tr",
        "tee",
        "diff",
        "cmp",
        "comm",
        "file",
        "stat",
        "find",
        "echo",
        "printf",
        "test",
        "[",
        "[[",
        "true",
        "false",
        ":",
        "jq",
        "yq",
        "sed",
        "awk",
        "git",
        "gh",
        "hub",
        "curl",
        "wget",
        "date",
        "cd",
        "pwd",
        "mkdir",
        "rm",
        "rmdir",
        "mv",
        "cp",
        "ln",
        "touch",
        "chmod",
        "chown",
        "set",
        "unset",
        "export",
        "shift",
        "exit",
        "return",
        "read",
        "sleep",
        "wait",
        "trap",
        "umask",
        "ulimit",
        "hash",
        "type",
        "which",
        "command",
        "local",
        "declare",
        "typeset",
        "readonly",
        "let",
        "for",
        "while",
        "until",
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "do",
        "done",
        "case",
        "esac",
        "in",
        "break",
        "continue",
        "function",
        "tar",
        "gzip",
        "gunzip",
        "unzip",
        "zip",
        "xz",
        "sha256sum",
        "sha1sum",
        "md5sum",
        "base64",
        "openssl",
        "id",
        "whoami",
        "hostname",
        "uname",
        "env",
        "printenv",
        "df",
        "du",
        "ps",
        "kill",
        "free",
        "basename",
        "dirname",
        "realpath",
        "readlink",
        "mktemp",
        "seq",
        "expr",
        "bc",
        "paste",
        "column",
        "apt",
        "apt-get",
        "apk",
        "brew",
        "yum",
        "dnf",
        "choco",
        "winget",
        "sudo",
        "aws",
        "az",
        "gcloud",
        "kubectl",
        "helm",
        "docker",
        "podman",
        "cosign",
        "syft",
        "grype",
        "trivy",
        "npm",
        "pip",
        "pip3",
        "go",
        "cargo",
        "dotnet",
        "terraform",
        "tofu",
        "uv",
        "poetry",
        "gpg",
        "ssh",
        "scp",
        "rsync",
        "nc",
        "ping",
        "dig",
        "nslookup",
        "xdg-open",
        "tree",
        "less",
        "more",
        "rev",
        "fold",
        "fmt",
        "nl",
        "tac",
        "write-host",
        "write-output",
        "get-content",
        "set-content",
        "select-string",
        "out-file",
        "pushd",
        "popd",
        "dirs",
        "shopt",
        "source_date",
        "}",
        "{",
        "(",
        ")",
        "esac",
        ";;",
        "codecov",
        "actions-toolkit",
        "cloc",
        "tokei",
        "scc",
    ]
)
"""Programs that read or change files, or talk to a service, without running what is in the folder."""
