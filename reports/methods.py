"""What a run's record says of its explanation methods; of a run that says nothing, the words of old."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports.format import clean, known, method_words, plain
from reports.language import catalogue, language, phrase, say
from reports.maps import SIGNED_METHODS

__all__ = ["Method", "method_of"]

_OLD = {
    "saliency": phrase("largest absolute gradient of the explained score over the colour channels of a pixel"),
    "gradient_x_input": phrase("gradient times pixel value, summed over channels; its sign tells for from against"),
    "grad_cam": phrase(
        "activations of the named layer, weighted by their mean gradient, summed, negative values cut off"
    ),
}
_LOOKING = frozenset({"grad_cam"})


@dataclass(frozen=True)
class Method:
    """One explanation method, as text.

    Attributes
    ----------
    name : str
        As in the tables.
    title : str
        As a reader is to see it.
    definition : str
        Empty where it is not recorded.
    signed : bool
        Whether the maps tell evidence for the class from evidence against it.
    needs_layer : bool
        Whether the maps come from a layer's activations.
    provider : str
        Whose implementation it is; empty where that is not recorded.
    settings : tuple of (str, str)
        Name and value.
    """

    name: str
    title: str
    definition: str = ""
    signed: bool = False
    needs_layer: bool = False
    provider: str = ""
    settings: tuple[tuple[str, str], ...] = ()


def method_of(record: Mapping[str, Any], name: str) -> Method:
    """One method of a run.

    Parameters
    ----------
    record : mapping
        The run's record, read tolerantly: nothing in it is trusted to have the type that it should.
    name : str
        As in the tables.
    """
    said = record.get("methods")
    own = said.get(name) if isinstance(said, Mapping) else None
    if not isinstance(own, Mapping):
        words = method_words(name)
        return Method(name, words, say(_OLD.get(name, "")), name in SIGNED_METHODS, name in _LOOKING)
    title = clean(own["title"]).replace(" x ", " × ") if known(own.get("title")) else ""
    settings = own.get("settings")
    return Method(
        name,
        _translated(title) if title else method_words(name),
        _translated(clean(own.get("definition") or "")),
        own.get("signed") is True,
        own.get("needs_layer") is True,
        clean(own.get("provider") or ""),
        tuple((plain(str(key)), _value(value)) for key, value in settings.items())
        if isinstance(settings, Mapping)
        else (),
    )


def _translated(text: str) -> str:
    """A text of the record in the language spoken where it is one of the audit's own, as it is where not."""
    return catalogue(language()).get(text, text)


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(clean(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return clean(value)
