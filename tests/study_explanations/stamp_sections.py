"""The page's sections on stamps: fakes that keep one, sound methods that lose theirs, and how thresholds were set."""

from __future__ import annotations

from collections import Counter

import pandas as pd

from audit.findings.stamps import CHECKS, StampRules
from tests.study_explanations.cells import part_of, spread, table
from tests.study_explanations.counting import Share, kept_stamps
from tests.study_explanations.methods import FAKES, METHODS, SOUND
from tests.study_explanations.networks import CONTROL
from tests.study_explanations.plan import CALIBRATION, MEASURED_ON, PARTS

__all__ = ["calibration", "error_rates", "sound_stamps"]

SET_HERE = ("depends_on_model", "beats_random", "same_again")
"""Checks whose threshold was set on the calibration networks; the others have a threshold of arithmetic."""


def error_rates(figures: pd.DataFrame) -> str:
    """Fakes that keep a stamp."""
    lines = []
    for name, title in FAKES.items():
        cells = []
        for part in MEASURED_ON:
            counts = kept_stamps(part_of(figures, part.name), name)
            cells.append(Share(counts["evidence"], counts.total()))
        lines.append([title, *cells, reasons(figures, name)])
    return f"""## Fakes that keep their stamp

Networks of both kinds on which a method that does not look at the model is stamped `evidence`; wanted: none. The last
column counts the checks that failed, or, where none failed, were not passed.

{table(["fake", *(part.architecture for part in MEASURED_ON), "found out by"], lines)}"""


def reasons(figures: pd.DataFrame, method: str, kind: str | None = None) -> str:
    """Deciding checks that a method did not pass, and how often, over the networks where it has no stamp."""
    own = figures[(figures["quantity"] == "stamp") & (figures["method"] == method)]
    own = own[own["part"].isin([part.name for part in MEASURED_ON])]
    own = own if kind is None else own[own["kind"] == kind]
    keys = ["part", "kind", "seed"]
    without = own[(own["item"] == "overall") & (own["result"] != "evidence")][keys]
    deciding = own[own["item"].isin([name for name, check in CHECKS.items() if check.deciding])]
    held = deciding.merge(without, on=keys)
    held = held[held["result"].isin(["failed", "inconclusive"])]
    counts = Counter(zip(held["item"], held["result"], strict=True))
    return ", ".join(f"`{item}` {result} {count}" for (item, result), count in counts.most_common())


def sound_stamps(figures: pd.DataFrame) -> str:
    """Sound methods that lose theirs."""
    lines = []
    for name, title in SOUND.items():
        cells = []
        for part in MEASURED_ON:
            counts = kept_stamps(part_of(figures, part.name, CONTROL), name)
            cells += [
                str(Share(counts["evidence"], counts.total())),
                f"{counts['inconclusive']}, {counts['not_evidence']}",
            ]
        lines.append([title, *cells, reasons(figures, name, CONTROL)])
    header = ["method", *(f"{part.architecture}: {what}" for part in MEASURED_ON for what in ("kept", "open, lost"))]
    return f"""## Sound methods that keep their stamp

On the controls, networks that use the object; wanted: all. Each method runs with its default settings. They are all the
package's own but Score-CAM; the list was fixed before any figure of these parts, and nothing was taken off it. *Open* is
`inconclusive`, *lost* is `not_evidence`.

{table([*header, "not passed"], lines)}
{remarks(figures)}"""


def remarks(figures: pd.DataFrame) -> str:
    """What is behind the two methods that lose stamps: Grad-CAM's gain, RISE's noise."""
    own = figures[(figures["kind"] == CONTROL) & (figures["quantity"] == "stamp")]

    def values(method: str, check: str) -> str:
        rows = own[(own["method"] == method) & (own["item"] == check)]
        return "; ".join(
            f"{part.architecture} {spread(rows[rows['part'] == part.name]['value'])}" for part in MEASURED_ON
        )

    return f"""**Grad-CAM** weighs each channel by the mean of its gradients over all positions. In plain_cnn every position of the
last layer has weights of its own, whose mean need not say anything; HiResCAM multiplies position by position and is
exact there. Gain of Grad-CAM over a random map on the controls: {values("grad_cam", "beats_random")}. Where it is
negative the lost stamp is no error: it is what the stamp is for.

**RISE**, as published, adds up its 500 masks and does not divide by how often a pixel was shown. That pattern of the
masks is the same for every image, and where the network is sure whatever is hidden it outweighs in rank all that the
network says: two sets of masks then give two orders of the pixels ({values("rise", "same_again")}), although the pixels
that matter come first in either. One pair of mask sets serves all images, so the interval over images is too narrow for
this check.
"""


def calibration(figures: pd.DataFrame) -> str:
    """How far apart sound methods and fakes are where the thresholds were set."""
    rules = StampRules()
    rows = []
    for part in PARTS:
        own = part_of(figures, part.name)
        own = own[own["quantity"] == "stamp"]
        for name in SET_HERE:
            check = CHECKS[name]
            held = own[own["item"] == name]
            limit = getattr(rules, check.threshold)
            wanted = f"{'at most' if check.small_is_good else 'above'} {limit:g}"
            sound = held[held["method"].isin(SOUND) & (held["kind"] == CONTROL)]
            fakes = held[held["method"].isin(FAKES)]
            rows.append([part.name, f"`{name}`", wanted, extremes(sound), extremes(fakes)])
    noise = part_of(figures, CALIBRATION.name)
    noise = noise[(noise["method"] == "seeded_noise") & (noise["item"] == "beats_random")]
    header = ["part", "check", "passes", "sound methods, controls", "fakes, both networks"]
    return f"""## How the thresholds were set

On the calibration networks alone. A check is passed where the whole 95 % interval over the images lies on the good side.

- `depends_on_model`, the mean rank correlation with the maps of the same network with shuffled weights: midway between
  the sound methods and the dressed edges, a fifth of which follow the model.
- `beats_random`, the gain in faithfulness over a random map: noise that the scores seed passes every other check, and had
  its interval above 0 on {int((noise["low"] > 0).sum())} of {len(noise)} networks. The threshold is some three standard deviations of its gain
  ({noise["value"].std():.3f}).
- `same_again`, the rank correlation between two seeds of a method's own noise: a map that ranks the object first and is
  noise on the rest correlates by 3 a (1 - a), a the share of the object (.3 for a = .12), so it only asks for more
  than noise.
- `adds_up` ({rules.completeness:g}) and `second_opinion` ({rules.difference:g}) are what arithmetic allows and were not set here.

Median of the checked value over the networks, least to largest method; those of the parts below calibration had no say.

{table(header, rows)}"""


def extremes(rows: pd.DataFrame) -> str:
    """Median of each method, ascending."""
    if rows.empty:
        return ""
    medians = rows.groupby("method", sort=False)["value"].median().sort_values()
    return ", ".join(f"{METHODS[str(method)]} {value:.2f}" for method, value in medians.items())
