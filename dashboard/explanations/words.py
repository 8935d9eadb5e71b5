"""What methods, measures, checks and stamps are called on the page, and what they mean."""

from __future__ import annotations

from typing import Any, NamedTuple

from audit.run import Run
from dashboard.text import escape
from dashboard.theme import BADGE_COLOURS
from reports.format import plain
from reports.methods import method_of
from reports.palette import stamp_style

__all__ = [
    "MATCHINGS",
    "MEASURES_OF_CHANGE",
    "RESULTS",
    "Mark",
    "action_words",
    "definition",
    "is_signed",
    "meaning",
    "measure_words",
    "method_order",
    "not_measured",
    "stamp_mark",
    "title",
]


class Mark(NamedTuple):
    """A result as symbol, word and colour.

    Attributes
    ----------
    symbol : str
        One sign, different for every result.
    word : str
    verdict : str
        Whose colours it wears.
    """

    symbol: str
    word: str
    verdict: str

    @property
    def text(self) -> str:
        """Symbol and word."""
        return f"{self.symbol} {self.word}"

    @property
    def badge(self) -> str:
        """As Markdown."""
        return f":{BADGE_COLOURS[self.verdict]}-badge[{escape(self.text)}]"


RESULTS = {
    "passed": Mark("✓", "passed", "pass"),
    "failed": Mark("✕", "failed", "fail"),
    "inconclusive": Mark("?", "not settled", "inconclusive"),
    "not_measured": Mark("–", "not measured", "waived"),
}
"""What one check comes to."""

MATCHINGS = {
    "none": ("not matched", "all images"),
    "label_confidence": ("matched", "same label, similar confidence"),
    "correctness": ("by outcome", "right and wrong apart"),
}
"""Between which images groups are compared: in a word, and in words."""

MEASURES_OF_CHANGE = {
    "changed": "share of predictions that changed",
    "drop": "drop of the predicted class’s probability",
    "positive_rate_change": "change of the share predicted positive",
}

_ACTIONS = {
    "effect": "region less equal areas elsewhere",
    "hide": "region hidden",
    "control": "equal area hidden elsewhere",
    "swap": "region of another image put in",
}
_REFERENCES = {"random": "random map", "centre": "map of the centre", "edges": "edge detector"}
_FILLS = {"blur": "blurred", "mean": "mean colour"}
_MEASURES = {
    "road": ("faithfulness: ROAD area", "Pixels leave by noisy imputation; smaller is more faithful."),
    "gini": ("concentration (Gini)", "0 is an even map, 1 a single pixel; concentrated is not truer."),
    "effective_area": ("area that holds 90 % of the mass", "Small is concentrated; concentrated is not truer."),
    "noise_floor": ("rank correlation of two seeds", "Of the method’s own noise; 1 is the same map again."),
    "sensitivity": (
        "change under a little noise in the image",
        "0 is no change; a map that ignores the model has none.",
    ),
    "randomisation": (
        "rank correlation with a shuffled model’s maps",
        "Near 1 the maps do not depend on what the model learned.",
    ),
    "completeness": ("error of the map’s sum", "Against the difference of the scores that it ought to add up to."),
    "steps": ("steps taken", "Along the path from the baseline."),
}
_CURVES = {
    "deletion": ("Pixels leave, the strongest first, and the probability falls", "smaller"),
    "insertion": ("Pixels enter, the strongest first, and the probability rises", "larger"),
}
_ABOUT_REGION = {
    "share": ("share of attribution in", "Of the absolute attribution; an even map has the region’s area."),
    "pointing": ("strongest pixel in", "1 where the largest value lies there; a large region is hit by chance."),
    "effect_changed": ("predictions changed by hiding", "Less by hiding as large an area elsewhere."),
    "effect_drop": ("drop of probability by hiding", "Less by hiding as large an area elsewhere."),
}


def title(run: Run, method: str) -> str:
    """What a method is called: as the run recorded it, or by the words of this version."""
    return _REFERENCES.get(method) or method_of(run.record, method).title


def definition(run: Run, method: str) -> str:
    """What exactly a method computes, with whose implementation and settings."""
    known = method_of(run.record, method)
    if not known.definition:
        return "The run does not record how this method was computed."
    text = f"{known.definition}." + (f" Implementation: {known.provider}." if known.provider else "")
    return text + (f" Settings: {', '.join(' '.join(pair) for pair in known.settings)}." if known.settings else "")


def is_signed(run: Run, method: str) -> bool:
    """Whether negative values are evidence against the class."""
    return method_of(run.record, method).signed


def stamp_mark(result: str | None) -> Mark:
    """The stamp of a method on a model."""
    style = stamp_style(result)
    return Mark(style.symbol, style.word, style.like)


def method_order(run: Run, names: Any) -> list[str]:
    """Methods in the order of the run's config, references and what it does not name last."""
    asked = ((run.record.get("config") or {}).get("explanations") or {}).get("methods") or run.record.get("methods")
    order = [str(name.get("name") if isinstance(name, dict) else name) for name in asked or []]
    found = list(dict.fromkeys(str(name) for name in names))
    rank = {name: place for place, name in enumerate(order)}
    late = {name: len(order) + (name in _REFERENCES) for name in found}
    return sorted(found, key=lambda name: rank.get(name, late[name]))


def measure_words(name: str) -> str:
    """A measure of explanations in words."""
    head, _, tail = name.partition(":")
    if tail and head in _ABOUT_REGION:
        return f"{_ABOUT_REGION[head][0]} {plain(tail)}"
    kind, _, fill = name.partition("_")
    if kind in _CURVES and fill:
        return f"faithfulness: {kind} area, {_FILLS.get(fill, plain(fill))}"
    return _MEASURES[name][0] if name in _MEASURES else plain(name)


def meaning(name: str) -> str:
    """Which way a measure is better, where one is, and what it does not show."""
    head, _, tail = name.partition(":")
    if tail and head in _ABOUT_REGION:
        return _ABOUT_REGION[head][1]
    kind, _, fill = name.partition("_")
    if kind in _CURVES and fill:
        how, better = _CURVES[kind]
        return f"{how}; area over the starting probability, {better} is more faithful."
    return _MEASURES[name][1] if name in _MEASURES else ""


def action_words(name: str) -> str:
    """What was done to an image, in words."""
    return _ACTIONS.get(name, plain(name))


def not_measured(run: Run, section: str, what: str) -> str:
    """Why a part of the page is empty: it was not asked for, or nothing came of it."""
    config = run.record.get("config") or {}
    if config.get(section):
        return f"{what} could not be measured on any image; “Problems and copies” on Robustness and data says why."
    return f"{what} was not measured in this run; add `{section}:` to the config."
