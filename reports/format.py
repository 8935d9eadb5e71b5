"""How numbers and names are written, in documents and on screen: one place for all of them.

Words are in the language spoken.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from reports.language import phrase, say

__all__ = [
    "NOTHING",
    "clean",
    "count",
    "criterion_words",
    "decimal",
    "decimals",
    "interval",
    "known",
    "method_words",
    "metric_words",
    "number",
    "p_value",
    "p_words",
    "plain",
    "rate",
    "rate_with_interval",
    "scientific",
    "share",
    "short",
    "signed",
    "status_words",
]

NOTHING = "–"
"""Stands where there is nothing to say. A value that is undefined is written as such, never so."""

# Controls but tab and newline, lone surrogates, marks that reorder text beyond their element, non-characters.
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\ufffe\uffff]")

_METHODS = {
    "saliency": phrase("Saliency"),
    "gradient_x_input": phrase("Gradient × input"),
    "grad_cam": "Grad-CAM",
    "grad_cam_pp": "Grad-CAM++",
    "hires_cam": "HiResCAM",
    "layer_cam": "LayerCAM",
    "score_cam": "Score-CAM",
    "smooth_grad": "SmoothGrad",
    "integrated_gradients": phrase("Integrated gradients"),
    "occlusion": phrase("Occlusion"),
    "rise": "RISE",
    "random": phrase("Random map"),
    "centre": phrase("Map of the centre"),
    "edges": phrase("Edge detector"),
}

_STATUSES = {
    "ok": phrase("ok"),
    "undefined": phrase("undefined: no images to divide by"),
    "too_few_clusters": phrase("too few independent clusters for an interval"),
    "suppressed": phrase("suppressed: the cell is small"),
    "not_measured": phrase("not measured"),
    "unreadable": phrase("unreadable file"),
    "missing": phrase("missing file"),
    "outside_root": phrase("outside root"),
    "unsupported": phrase("unsupported"),
    "too_large": phrase("more pixels than allowed"),
    "copy": phrase("the same file as another image"),
    "looks_alike": phrase("looks like another image"),
    "trained_on": phrase("is a training image"),
    "looks_trained_on": phrase("looks like a training image"),
    "nonfinite": phrase("values that are not finite"),
    "not_converged": phrase("not converged: the map does not add up to the difference of the scores"),
    "not_separable": phrase("no direction: images with and without the concept are not told apart"),
    "conditions_on_outcome": phrase("breakdown by an outcome: not tested"),
}
_METRICS = {
    "accuracy": phrase("accuracy"),
    "balanced_accuracy": phrase("balanced accuracy"),
    "standardised_accuracy": phrase("label-standardised accuracy"),
    "top_3_accuracy": phrase("top-3 accuracy"),
    "top_5_accuracy": phrase("top-5 accuracy"),
    "true_positive_rate": phrase("true positive rate"),
    "false_positive_rate": phrase("false positive rate"),
    "true_negative_rate": phrase("true negative rate"),
    "false_negative_rate": phrase("false negative rate"),
    "precision": phrase("precision"),
    "f1": "F1",
    "macro_precision": phrase("macro precision"),
    "macro_f1": phrase("macro F1"),
    "selection_rate": phrase("selection rate"),
    "auc": "AUC",
    "log_loss": phrase("log-loss"),
    "brier": phrase("Brier score"),
    "ece": phrase("calibration error (ECE)"),
    "ece_debiased": phrase("calibration error, debiased"),
    "equalised_odds": phrase("equalised odds"),
    "average_odds": phrase("average odds"),
    "error_rate": phrase("error rate"),
    "region_share": phrase("region share"),
    "intervention_effect": phrase("intervention effect"),
}
# Names of the run's own registries that are no metric, method or status, as `plain` writes them.
_NAMES = (
    *(phrase("predict"), phrase("explain"), phrase("crosscheck"), phrase("quality"), phrase("intervene")),
    *(phrase("embed"), phrase("corrupt"), phrase("members"), phrase("concepts"), phrase("data")),
    *(phrase("noise"), phrase("blur"), phrase("jpeg"), phrase("brightness"), phrase("contrast")),
)


def known(value: Any) -> bool:
    """Whether a cell holds a value: neither None, NaN nor pandas' NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return False
    return not (isinstance(value, float) and math.isnan(value))


def clean(text: Any) -> str:
    """A name as text, without control characters that HTML or XML cannot hold or that turn a line around."""
    return _FORBIDDEN.sub("\ufffd", str(text))


def short(text: Any, limit: int = 28) -> str:
    """A name of at most `limit` characters, cut in the middle so that both ends can be told apart."""
    whole = " ".join(clean(text).split())
    if len(whole) <= limit:
        return whole
    tail = limit // 3
    return f"{whole[: limit - tail - 1]}…{whole[-tail:]}"


def rate(value: Any) -> str:
    """A rate, share or score with three decimals."""
    return f"{float(value):.3f}" if known(value) else NOTHING


def signed(value: Any) -> str:
    """A difference with its sign."""
    return f"{float(value):+.3f}" if known(value) else NOTHING


def decimal(value: Any) -> str:
    """A measure with three decimals; one too small for them keeps its size, such as ``3.1e-07``."""
    if not known(value):
        return NOTHING
    number_ = float(value)
    return f"{number_:.3f}" if abs(number_) >= 0.001 or number_ == 0 else f"{number_:.1e}"


def decimals(low: Any, high: Any) -> str:
    """An interval of a measure, written as `decimal` writes its ends."""
    return f"[{decimal(low)}, {decimal(high)}]" if known(low) and known(high) else NOTHING


def interval(low: Any, high: Any) -> str:
    """An interval, such as ``[0.589, 0.851]``."""
    return f"[{rate(low)}, {rate(high)}]" if known(low) and known(high) else NOTHING


def rate_with_interval(row: Mapping[str, Any]) -> str:
    """Value, interval and n of a table's row: ``0.734 [0.589, 0.851], n=49``; why there is none, where not."""
    if not known(row.get("value")):
        return status_words(row.get("status"))
    text = rate(row["value"])
    if known(row.get("low")) and known(row.get("high")):
        text += f" {interval(row['low'], row['high'])}"
    return f"{text}, n={count(row['n'])}" if known(row.get("n")) else text


def p_value(value: Any) -> str:
    """A p-value with three decimals, ``< 0.001`` below."""
    if not known(value):
        return NOTHING
    return "< 0.001" if float(value) < 0.001 else f"{float(value):.3f}"


def p_words(value: Any) -> str:
    """A p-value in a sentence: ``p = 0.032``, ``p < 0.001``."""
    text = p_value(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def count(value: Any) -> str:
    """A whole number, thousands set apart by a thin space."""
    return f"{round(float(value)):,}".replace(",", " ") if known(value) else NOTHING


def number(value: Any) -> str:
    """A number of any size with four significant digits."""
    return f"{float(value):.4g}" if known(value) else NOTHING


def scientific(value: Any) -> str:
    """A small difference, such as ``3.1e-07``."""
    return f"{float(value):.1e}" if known(value) else NOTHING


def share(part: int, whole: int) -> str:
    """A share in per cent, with one decimal."""
    return f"{100 * part / whole:.1f} %" if whole else NOTHING


def status_words(status: Any) -> str:
    """A status in words a reader understands."""
    text = clean(status) if known(status) else "not_measured"
    return say(_STATUSES[text]) if text in _STATUSES else plain(text)


def method_words(method: Any) -> str:
    """An explanation method as the literature calls it; the title in a run's record goes before (`reports.methods`)."""
    return say(_METHODS[str(method)]) if str(method) in _METHODS else plain(method)


def metric_words(metric: str, class_name: Any = None) -> str:
    """A metric's name in words, and the class it is about."""
    words = say(_METRICS[metric]) if metric in _METRICS else plain(metric)
    return say("{metric}, {about}", metric=words, about=clean(class_name)) if known(class_name) else words


_COMPARED = {
    "ratio": phrase("ratio of smallest to largest"),
    "overall": phrase("worst group against everybody else"),
    "max": phrase("the larger of the two gaps"),
    "mean": phrase("mean of the two gaps"),
}


def criterion_words(metric: str, class_name: Any = None, compare: Any = None) -> str:
    """A metric's name in words, and how groups are compared on it where that is not by range."""
    how = _COMPARED.get(str(compare))
    words = metric_words(metric, class_name)
    return say("{metric}: {how}", metric=words, how=say(how)) if how else words


def plain(name: str) -> str:
    """An identifier as words: underscores become spaces; one of the audit's own is said."""
    words = clean(name).replace("_", " ")
    return say(words) if words in _NAMES else words
