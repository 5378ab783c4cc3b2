"""Rules for the Dockerfile, as hadolint has them, and that it agrees with the service. Each gives its complaints."""

import re
import shlex
import tomllib
from collections.abc import Iterator, Set
from fnmatch import fnmatch
from pathlib import Path

import click
from msgspec.json import decode

from cds_service.cli import main
from cds_service.settings import unknown_settings

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_URL = re.compile(r"http://127\.0\.0\.1:(\d+)(/[a-z/]*)")
_PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?")


def pinned(image: str) -> bool:
    """True when the image names at least a major and a minor version."""
    return _PINNED.fullmatch(image) is not None


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction with its argument, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def last_stage(text: str) -> list[tuple[str, str]]:
    """The instructions of the image itself."""
    given = instructions(text)
    return given[max(index for index, (name, _) in enumerate(given) if name == "FROM") + 1 :]


def argument(text: str, wanted: str) -> str:
    """The argument of the last such instruction of the image; empty where there is none."""
    return next((rest for name, rest in reversed(last_stage(text)) if name == wanted), "")


def environment(text: str) -> dict[str, str]:
    """What the image sets."""
    found = (pair.partition("=") for name, rest in last_stage(text) if name == "ENV" for pair in shlex.split(rest))
    return {name: value for name, _, value in found}


def command(text: str) -> list[str]:
    """What the image starts, where that is in exec form."""
    found = argument(text, "CMD")
    words: list[str] = decode(found) if found.startswith("[") else []
    return words


def port(text: str) -> int | None:
    """The port that the start command says; None where the command is not one of the service's."""
    program, *words = command(text) or [""]
    if program not in PROJECT["project"]["scripts"] or not words or words[0] not in main.commands:
        return None
    try:
        said: int | None = main.commands[words[0]].make_context(words[0], words[1:]).params.get("port")
    except click.ClickException:
        return None
    return said


def copied(text: str) -> list[str]:
    """What is taken from the project."""
    rests = [rest.split() for name, rest in instructions(text) if name == "COPY" and "--from=" not in rest]
    return [source for words in rests for source in words[:-1]]


def let_in(path: str, ignore: str) -> bool:
    """True when the .dockerignore lets this path into the build; the last line that fits decides."""
    found = True
    for line in (line.strip() for line in ignore.splitlines()):
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and fnmatch(path, pattern):
            found = line.startswith("!")
    return found


def complaints(text: str, ignore: str, served: Set[str]) -> Iterator[str]:
    """What is wrong with a Dockerfile, beside its .dockerignore and for a service with these paths."""
    yield from _of_versions(text)
    yield from _of_what_is_installed(text)
    yield from _of_the_user(text)
    yield from _of_the_start(text, served)
    yield from _of_what_is_copied(text, ignore)


def _of_versions(text: str) -> Iterator[str]:
    bases = [rest.split()[0] for name, rest in instructions(text) if name == "FROM"]
    yield from (f"not pinned: {base}" for base in bases if not pinned(base))
    if len(set(bases)) > 1:
        yield "the stages differ in their base"


def _of_what_is_installed(text: str) -> Iterator[str]:
    for name, rest in instructions(text):
        if name == "ADD":
            yield "ADD"
        if name != "RUN":
            continue
        yield from (f"uses {word}" for word in re.findall(r"\b(?:sudo|curl|wget|apt-get|apk)\b", rest))
        for step in rest.split("&&"):
            if re.search(r"\bpip\b.*\b(?:install|wheel)\b", step):
                if "--require-hashes" not in step and "--no-index" not in step:
                    yield "installs what has no hash"
                if "--no-index" not in step and "--only-binary=:all:" not in step:
                    yield "may compile"
                if " install " in step and "--no-cache-dir" not in step:
                    yield "leaves a cache"
    if any(name == "RUN" and re.search(r"\bpip\b", rest) for name, rest in last_stage(text)):
        yield "installs in the last stage"


def _of_the_user(text: str) -> Iterator[str]:
    user, _, group = argument(text, "USER").partition(":")
    if not (user.isdigit() and group.isdigit() and int(user) > 0 and int(group) > 0):
        yield "no user by number that is not root"
    folder = environment(text).get("CDS_DATA_DIR", "")
    if not folder or folder != argument(text, "VOLUME"):
        yield "the data folder is no volume"


def _of_the_start(text: str, served: Set[str]) -> Iterator[str]:
    yield from unknown_settings(environment(text))
    said = port(text)
    if said is None:
        yield "the start is no command of the service"
    check = argument(text, "HEALTHCHECK")
    asked = _URL.search(check)
    if asked is None or "CMD [" not in check:
        yield "no health check in exec form"
    elif asked[2] not in served:
        yield f"the health check asks for {asked[2]}"
    if len({str(said), argument(text, "EXPOSE"), asked[1] if asked else ""}) > 1:
        yield "the ports differ"


def _of_what_is_copied(text: str, ignore: str) -> Iterator[str]:
    sources = copied(text)
    yield from (f"not there: {source}" for source in sources if not (ROOT / source).exists())
    yield from (f"ignored: {source}" for source in sources if not let_in(source, ignore))
    packages = {found.rstrip("*") for found in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    yield from (f"left out: {package}" for package in sorted(packages - set(sources)))
    tracked = [path.name for path in ROOT.iterdir() if let_in(path.name, ignore)]
    yield from (f"sent to the build in vain: {name}" for name in sorted(set(tracked) - set(sources)))
