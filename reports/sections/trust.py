"""What whoever ran the audit let run that came with a model: a reader decides whether to follow that trust."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.format import clean
from reports.language import say
from reports.nodes import Block, Paragraph

__all__ = ["trust"]


def trust(record: Mapping[str, Any]) -> tuple[Block, ...]:
    """A sentence for each kind of trust that a run's record holds; nothing where none was given."""
    given = record.get("trust") or {}
    blocks: list[Block] = []
    if given.get("trust_code"):
        words = say("Import paths of the configuration were followed: code of whoever wrote it ran in this audit.")
        blocks.append(Paragraph(words))
    names = {str(model.get("sha256")): clean(model.get("name", "")) for model in record.get("models") or []}
    for digest in given.get("trust_models") or ():
        name, said = names.get(str(digest)), clean(digest)
        words = (
            say("The file with the digest sha256:{digest}, of no model of this run, was trusted.", digest=said)
            if name is None
            else say(
                "The file of model {name} could run code when it was loaded; it was trusted by its digest, "
                "sha256:{digest}.",
                name=name,
                digest=said,
            )
        )
        blocks.append(Paragraph(words))
    return tuple(blocks)
