"""Measures of the quality of maps in words: what each is called, which way is good, and which belong together."""

from __future__ import annotations

from typing import NamedTuple

from reports.format import clean, plain
from reports.language import phrase, say

__all__ = ["FAMILIES", "Family", "effect_words", "in_order", "measure_words", "towards"]


class Family(NamedTuple):
    """Measures that stand in one table.

    Attributes
    ----------
    title : str
    text : str
        What they measure and what they do not show.
    parts : tuple of str
        Measures, or what their names begin with.
    """

    title: str
    text: str
    parts: tuple[str, ...]


FAMILIES = (
    Family(
        phrase("Do the pixels that a map names move the probability?"),
        phrase(
            "Deletion takes the pixels with the largest values out first, insertion puts them in first, ROAD takes "
            "them out and fills in what their surroundings lead one to expect. Each value is the area under the curve "
            "of the target's probability, divided by the probability of the whole image. Images with pixels taken out "
            "are unlike any that the model was trained on, so compare with the maps that know nothing of the model, "
            "not with 0 or 1."
        ),
        ("deletion_", "insertion_", "road"),
    ),
    Family(
        phrase("Do the maps depend on the model, and are they steady?"),
        phrase(
            "Randomisation: rank correlation with the maps of the model with shuffled weights, where a low value is "
            "good. Noise floor: rank correlation between two seeds of the method's own noise. Sensitivity: relative "
            "change of the map under small changes of the image. Completeness: error of the sum of the map against the"
            " difference of the scores."
        ),
        ("randomisation", "noise_floor", "sensitivity", "completeness", "steps"),
    ),
    Family(
        phrase("How concentrated are the maps, and where is their peak?"),
        phrase(
            "Gini: 0 where attribution is even, near 1 where a few cells hold it all. Effective area: the smallest "
            "share of the map that holds nine tenths of the attribution. Pointing: share of images on which the "
            "largest value lies in the region. None of them is good or bad in itself."
        ),
        ("gini", "effective_area", "pointing:"),
    ),
)

_WORDS = {
    "road": "ROAD",
    "gini": phrase("Gini"),
    "randomisation": phrase("Randomisation"),
    "noise_floor": phrase("Noise floor"),
    "sensitivity": phrase("Sensitivity"),
    "completeness": phrase("Completeness error"),
    "steps": phrase("Steps taken"),
    "effective_area": phrase("Effective area"),
}
_STARTS = {
    "deletion_": phrase("Deletion, {of}"),
    "insertion_": phrase("Insertion, {of}"),
    "pointing:": phrase("Pointing, {of}"),
    "share:": "{of}",
    "effect_changed:": phrase("Changed predictions, {of}"),
    "effect_drop:": phrase("Drop of probability, {of}"),
}
_FILLS = (phrase("blur"), phrase("mean"))
_EFFECTS = {"effect_changed": phrase("effect on predictions"), "effect_drop": phrase("effect on the probability")}
_LOW = ("deletion_", "road", "randomisation", "sensitivity", "completeness")
_HIGH = ("insertion_", "noise_floor")


def measure_words(measure: str) -> str:
    """A measure's name as a reader is to see it."""
    for start, words in _STARTS.items():
        if measure.startswith(start):
            of = measure.removeprefix(start)
            return say(words, of=say(of) if of in _FILLS else clean(of))
    return say(_WORDS[measure]) if measure in _WORDS else plain(measure).capitalize()


def in_order(measures: list[str]) -> list[str]:
    """Measures in the order of their families, others last."""
    starts = [start for family in FAMILIES for start in family.parts]
    return sorted(measures, key=lambda name: next((i for i, s in enumerate(starts) if name.startswith(s)), len(starts)))


def effect_words(measure: str) -> str:
    """An effect of hiding a region, without the region."""
    effect = measure.partition(":")[0]
    return say(_EFFECTS[effect]) if effect in _EFFECTS else measure_words(measure)


def towards(measure: str) -> str:
    """Which way is good, in words; empty where neither is."""
    if measure.startswith(_LOW):
        return say("low is good")
    return say("high is good") if measure.startswith(_HIGH) else ""
