"""The metrics: what each one counts, which way is better, when it is undefined, what it does not show.

Definitions only. Counts come from `counts`, scores are computed in `scores`, tables in `groups` and `gaps`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from audit.errors import InputError, nearest

__all__ = ["METRICS", "Direction", "Metric", "find_metric"]

Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class Metric:
    """One metric of a model on a group of images.

    Parameters
    ----------
    name : str
        Its name in tables and policies.
    words : str
        What it is, in words; ``{class}`` stands for the class it is about.
    counted : str
        What its denominator counts, in words, with the same placeholder.
    direction : {"higher", "lower"}, optional
        Which way is better; none where that depends on the use.
    bounds : (float, float)
        Smallest and largest value.
    per_class : bool
        Whether it is about one class against the rest.
    undefined : str
        When it has no value.
    does_not_show : str
        What a reader might take it for, and it is not.
    numerator, denominator : tuple of str
        For a rate, the counts that are added up: ``tp, fn, fp, tn`` of one class against the rest, or
        ``correct, all``, or ``top_3, top_5, ranked``. Empty for a metric that is no single rate.
    least_classes : int
        With fewer classes it says nothing and is not tabulated.
    """

    name: str
    words: str
    counted: str
    direction: Direction | None
    bounds: tuple[float, float]
    per_class: bool
    undefined: str
    does_not_show: str
    numerator: tuple[str, ...] = ()
    denominator: tuple[str, ...] = ()
    least_classes: int = 1

    @property
    def is_rate(self) -> bool:
        """Whether it is one count over another, with an interval and tests of its own."""
        return bool(self.denominator)

    def say(self, class_name: str | None) -> str:
        """The metric in words, about this class."""
        return self.words.replace("{class}", str(class_name))

    def say_counted(self, class_name: str | None) -> str:
        """What its denominator counts, in words, about this class."""
        return self.counted.replace("{class}", str(class_name))


def _rate(
    name: str,
    words: str,
    counted: str,
    direction: Direction | None,
    numerator: tuple[str, ...],
    denominator: tuple[str, ...],
    does_not_show: str,
) -> Metric:
    return Metric(
        name,
        words,
        counted,
        direction,
        (0.0, 1.0),
        "tp" in denominator or "fp" in denominator,
        f"there are no {counted}",
        does_not_show,
        numerator,
        denominator,
    )


def _top(k: int) -> Metric:
    return Metric(
        f"top_{k}_accuracy",
        f"share of images whose class is among the {k} most probable ones",
        "images with probabilities",
        "higher",
        (0.0, 1.0),
        False,
        "there are no images with probabilities",
        f"which of the {k} the model would have decided on",
        (f"top_{k}",),
        ("ranked",),
        k + 1,
    )


_OF_CLASS = "images of class '{class}'"
_OF_OTHERS = "images of other classes than '{class}'"
_EVERY = ("tp", "fn", "fp", "tn")
_KINDS = "whether the images of the groups are equally hard"

_ALL = (
    _rate(
        "accuracy",
        "share of images classified correctly",
        "images",
        "higher",
        ("correct",),
        ("all",),
        "which classes are confused; it also depends on how the classes are mixed in the group",
    ),
    Metric(
        "balanced_accuracy",
        "mean over the classes of the share found",
        "images",
        "higher",
        (0.0, 1.0),
        False,
        "a class has no image in the group",
        "how often each class occurs in use",
    ),
    Metric(
        "standardised_accuracy",
        "share classified correctly if each group had the class mix of all images",
        "images",
        "higher",
        (0.0, 1.0),
        False,
        "a class that occurs in the whole set has no image in the group",
        "what the group experiences under its own class mix, or whether its images of a class are equally hard",
    ),
    _top(3),
    _top(5),
    _rate(
        "true_positive_rate",
        "share of the images of class '{class}' that were found",
        _OF_CLASS,
        "higher",
        ("tp",),
        ("tp", "fn"),
        _KINDS,
    ),
    _rate(
        "false_positive_rate",
        "share of the images of other classes that were taken for '{class}'",
        _OF_OTHERS,
        "lower",
        ("fp",),
        ("fp", "tn"),
        _KINDS,
    ),
    _rate(
        "true_negative_rate",
        "share of the images of other classes that were not taken for '{class}'",
        _OF_OTHERS,
        "higher",
        ("tn",),
        ("fp", "tn"),
        _KINDS,
    ),
    _rate(
        "false_negative_rate",
        "share of the images of class '{class}' that were missed",
        _OF_CLASS,
        "lower",
        ("fn",),
        ("tp", "fn"),
        _KINDS,
    ),
    _rate(
        "precision",
        "share of the images called '{class}' that are of that class",
        "images called '{class}'",
        "higher",
        ("tp",),
        ("tp", "fp"),
        "how many were missed; it also depends on how common the class is in the group",
    ),
    Metric(
        "f1",
        "harmonic mean of precision and true positive rate of class '{class}'",
        "images of class '{class}' or called so",
        "higher",
        (0.0, 1.0),
        True,
        "no image is of the class and none is called so",
        "which of its two parts is low; it also depends on how common the class is in the group",
    ),
    Metric(
        "macro_precision",
        "mean over the classes of precision",
        "images",
        "higher",
        (0.0, 1.0),
        False,
        "a class is never called in the group",
        "how many images of each class were missed; it also depends on how the classes are mixed in the group",
    ),
    Metric(
        "macro_f1",
        "mean over the classes of F1",
        "images",
        "higher",
        (0.0, 1.0),
        False,
        "a class neither occurs nor is called in the group",
        "which class is served poorly; it also depends on how the classes are mixed in the group",
    ),
    _rate(
        "selection_rate",
        "share of images called '{class}'",
        "images",
        None,
        ("tp", "fp"),
        _EVERY,
        "whether the images were rightly called so",
    ),
    Metric(
        "auc",
        "chance that an image of class '{class}' scores higher for it than one of another class",
        "images",
        "higher",
        (0.0, 1.0),
        True,
        "all images, or none, are of the class",
        "errors at the threshold in use",
    ),
    Metric(
        "log_loss",
        "mean of minus the logarithm of the probability given to the true class",
        "images",
        "lower",
        (0.0, float("inf")),
        False,
        "there are no images with probabilities",
        "whether decisions are right; a few confident errors can dominate it",
    ),
    Metric(
        "brier",
        "mean squared distance between probabilities and truth (for two classes, of one of them)",
        "images",
        "lower",
        (0.0, 2.0),
        False,
        "there are no images with probabilities",
        "whether poor ranking or poor calibration is the cause",
    ),
    Metric(
        "ece",
        "mean distance between confidence and accuracy over 15 bins of confidence",
        "images",
        "lower",
        (0.0, 1.0),
        False,
        "there are no images with probabilities",
        "a difference between groups of different size: few images alone make it large",
    ),
    Metric(
        "ece_debiased",
        "root mean square distance between confidence and accuracy over 15 bins of confidence, less what chance adds",
        "images",
        "lower",
        (-1.0, 1.0),
        False,
        "no bin holds images of two clusters",
        "in which direction confidence errs; below 0 it was smaller than chance alone makes it on average",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""Every metric by name, in the order of the tables."""


def find_metric(name: str) -> Metric:
    """Look a metric up by name.

    Raises
    ------
    InputError
        There is none of this name.
    """
    if name not in METRICS:
        raise InputError(f"metric '{name}' is unknown, allowed: {list(METRICS)}.{nearest(name, METRICS)}")
    return METRICS[name]
