"""A policy version as it is kept, in memory and on disk: small, and made ready to be asked when its drug is ordered."""

import zlib
from datetime import date

from msgspec import Struct, msgpack

from cds_service.policy.compiled import CompiledPolicy
from cds_service.policy.facts import Names
from cds_service.policy.policy import Policy

_FAST = 1  # the level of zlib: higher ones take twice as long, and win a tenth


class KeptPolicy(Struct, frozen=True, eq=False):  # itself a key, which no other equals
    """What a checked policy version is found by, and the whole of it packed."""

    policy: str
    title: str
    drug: str
    name: str
    generic: str
    summary: str
    version: date
    digest: str  # of its file, see `CompiledPolicy`
    questionnaire: str  # the name of the form
    applies_to: tuple[str, ...]
    tests: Names  # that it asks for
    limited: Names
    billed: Names
    asks: bool  # it has a form
    choices: tuple[str, ...]  # linkIds of the items with options
    packed: bytes

    def source(self) -> Policy:
        """The whole as the file has it, unpacked anew."""
        return msgpack.decode(zlib.decompress(self.packed), type=Policy)

    def compiled(self) -> CompiledPolicy:
        """The policy ready to be asked, made anew."""
        return CompiledPolicy(self.source(), self.digest)


def keep(policy: CompiledPolicy) -> KeptPolicy:
    """The policy as it is kept."""
    source = policy.source
    return KeptPolicy(
        policy=source.policy,
        title=source.title,
        drug=source.drug,
        name=source.name,
        generic=source.generic,
        summary=source.summary,
        version=source.version,
        digest=policy.digest,
        questionnaire=source.questionnaire,
        applies_to=source.applies_to,
        tests=frozenset(policy.tests),
        limited=policy.limited,
        billed=policy.billed,
        asks=bool(source.questions),
        choices=tuple(question.id for question in source.questions if question.options),
        packed=zlib.compress(msgpack.encode(source), _FAST),
    )
