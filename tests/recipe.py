"""The instructions of a Dockerfile."""

from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).resolve().parents[1]
DOCKER = ROOT / "docker"


class Instruction(Struct, frozen=True):
    """One instruction, its lines joined."""

    name: str
    value: str


def instructions(path: Path) -> list[Instruction]:
    """All of them, in order."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [Instruction(name, " ".join(value.split(" "))) for name, _, value in (line.partition(" ") for line in whole)]


def stages(found: list[Instruction]) -> list[list[Instruction]]:
    """The same by stage, each from its FROM on."""
    made: list[list[Instruction]] = []
    for instruction in found:
        if instruction.name == "FROM":
            made.append([])
        made[-1].append(instruction)
    return made
