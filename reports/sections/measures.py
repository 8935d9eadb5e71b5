"""Measures of the quality of maps in words: what each is called, which way is good, and which belong together."""

from __future__ import annotations

from typing import NamedTuple

from reports.format import clean, plain

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
        "Do the pixels that a map names move the probability?",
        "Deletion takes the pixels with the largest values out first, insertion puts them in first, ROAD takes them "
        "out and fills in what their surroundings lead one to expect. Each value is the area under the curve of the "
        "target's probability, divided by the probability of the whole image. Images with pixels taken out are unlike "
        "any that the model was trained on, so compare with the maps that know nothing of the model, not with 0 or 1.",
        ("deletion_", "insertion_", "road"),
    ),
    Family(
        "Do the maps depend on the model, and are they steady?",
        "Randomisation: rank correlation with the maps of the model with shuffled weights, where a low value is good. "
        "Noise floor: rank correlation between two seeds of the method's own noise. Sensitivity: relative change of "
        "the map under small changes of the image. Completeness: error of the sum of the map against the difference "
        "of the scores.",
        ("randomisation", "noise_floor", "sensitivity", "completeness", "steps"),
    ),
    Family(
        "How concentrated are the maps, and where is their peak?",
        "Gini: 0 where attribution is even, near 1 where a few cells hold it all. Effective area: the smallest share "
        "of the map that holds nine tenths of the attribution. Pointing: share of images on which the largest value "
        "lies in the region. None of them is good or bad in itself.",
        ("gini", "effective_area", "pointing:"),
    ),
)

_WORDS = {
    "road": "ROAD",
    "gini": "Gini",
    "randomisation": "Randomisation",
    "noise_floor": "Noise floor",
    "sensitivity": "Sensitivity",
    "completeness": "Completeness error",
    "steps": "Steps taken",
    "effective_area": "Effective area",
}
_STARTS = {
    "deletion_": "Deletion, ",
    "insertion_": "Insertion, ",
    "pointing:": "Pointing, ",
    "share:": "",
    "effect_changed:": "Changed predictions, ",
    "effect_drop:": "Drop of probability, ",
}
_EFFECTS = {"effect_changed": "effect on predictions", "effect_drop": "effect on the probability"}
_LOW = ("deletion_", "road", "randomisation", "sensitivity", "completeness")
_HIGH = ("insertion_", "noise_floor")


def measure_words(measure: str) -> str:
    """A measure's name as a reader is to see it."""
    for start, words in _STARTS.items():
        if measure.startswith(start):
            return f"{words}{clean(measure.removeprefix(start))}"
    return _WORDS.get(measure, plain(measure).capitalize())


def in_order(measures: list[str]) -> list[str]:
    """Measures in the order of their families, others last."""
    starts = [start for family in FAMILIES for start in family.parts]
    return sorted(measures, key=lambda name: next((i for i, s in enumerate(starts) if name.startswith(s)), len(starts)))


def effect_words(measure: str) -> str:
    """An effect of hiding a region, without the region."""
    return _EFFECTS.get(measure.partition(":")[0], measure_words(measure))


def towards(measure: str) -> str:
    """Which way is good, in words; empty where neither is."""
    if measure.startswith(_LOW):
        return "low is good"
    return "high is good" if measure.startswith(_HIGH) else ""
