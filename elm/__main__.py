"""Writes each policy version's CQL and ELM beside its file: `make elm` (Node 20)."""

from pathlib import Path

from cds_service.app import POLICIES, load_knowledge
from cds_service.dtr.prefill_library import compiled_files, to_compile
from elm.node import translated


def main() -> None:
    """Every policy version whose form can be filled in from a chart."""
    knowledge = load_knowledge()
    for policy in knowledge.library.policies:
        population = to_compile(policy, knowledge.library, knowledge.labs)
        if population is not None:
            cql, elm = compiled_files(POLICIES, policy.source)
            _write(cql, population.text)
            _write(elm, translated(population.text))


def _write(path: Path, text: str) -> None:
    path.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
