"""The study's figures as the page docs/study-explanations.md. Every number in it comes from the figures."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.study_explanations.cells import part_of, spread, table
from tests.study_explanations.counting import MARKER, OBJECT, Share, kept_stamps, pointing, shares, uses_object
from tests.study_explanations.methods import FAKES, METHODS, SOUND
from tests.study_explanations.networks import CONTROL, SHORTCUT
from tests.study_explanations.plan import CALIBRATION, HELD_OUT, MEASURED_ON, OTHER_NETWORK, PARTS
from tests.study_explanations.stamp_sections import calibration, error_rates, sound_stamps

__all__ = ["write"]


def write(figures: pd.DataFrame, path: Path) -> str:
    """Write the page, and return its text."""
    sections = (head, in_short, networks, marker, masses, error_rates, sound_stamps, calibration, limits, times)
    text = "\n".join(section(figures) for section in sections)
    path.write_text(text, encoding="utf-8")
    return text


def head(figures: pd.DataFrame) -> str:
    """What the page is."""
    seeds = {part.name: part_of(figures, part.name)["seed"].nunique() for part in PARTS}
    return f"""# Explanations where the truth is known

Do explanations point to a shortcut that was planted, do they stay away from it where it was not, and is a fake method
found out? Written by `make study-explanations` (`python -m tests.study_explanations`) and not by hand; every figure of
every network stands in [study-explanations.csv](study-explanations.csv). Shares are followed by their exact 95 % interval
(Clopper-Pearson).

The images are synthetic: 32 px, a disc or a cross on one of six background tones, half of the test images with a small
blue bar in a corner, the marker. For each seed two networks are trained in PyTorch and audited on the same 400 images by
the pipeline that a user runs. One is taught the **shortcut**: in its training images the marker is on 95 % of the crosses
and 5 % of the discs. For the **control** the marker is on half of either, so that only the object tells the classes apart.

| part | seeds | network | for |
| --- | --- | --- | --- |
| calibration | {seeds[CALIBRATION.name]} | {CALIBRATION.architecture} | setting thresholds |
| held out | {seeds[HELD_OUT.name]} | {HELD_OUT.architecture} | everything below |
| other network | {seeds[OTHER_NETWORK.name]} | {OTHER_NETWORK.architecture} | everything below, on an architecture that no threshold was set on |
"""


def in_short(figures: pd.DataFrame) -> str:
    """The four answers."""
    lines = []
    for part in MEASURED_ON:
        found = {kind: shares(pointing(part_of(figures, part.name, kind))) for kind in (SHORTCUT, CONTROL)}
        fakes = part_of(figures, part.name)
        stamped = fakes[fakes["method"].isin(FAKES) & (fakes["item"] == "overall") & (fakes["result"] == "evidence")]
        count = len(fakes[["kind", "seed"]].drop_duplicates())
        kept = Share(len(stamped[["kind", "seed"]].drop_duplicates()), count)
        sound = {name: kept_stamps(part_of(figures, part.name, CONTROL), name) for name in SOUND}
        always = sum(counts["evidence"] == counts.total() > 0 for counts in sound.values())
        lines.append(
            [
                part.architecture,
                found[SHORTCUT]["all"],
                found[CONTROL]["any"],
                kept,
                f"{always} of {len(SOUND)} methods",
            ]
        )
    header = [
        "network",
        "taught the shortcut: all evidence points to the marker",
        "control: any evidence points to it",
        "networks on which any fake keeps a stamp",
        "sound methods with a stamp on every control",
    ]
    return f"""## In short

On networks that no threshold was set on:

{table(header, lines)}"""


def networks(figures: pd.DataFrame) -> str:
    """What the networks learnt."""
    lines = []
    for part in PARTS:
        for kind in (SHORTCUT, CONTROL):
            own = part_of(figures, part.name, kind)
            rows = own[own["quantity"] == "accuracy"].set_index("item")["value"]
            effects = own[own["quantity"] == "effect"].set_index("item")["value"]
            accuracy = [spread(rows[rows.index == item]) for item in ("validation", "test")]
            changed = [spread(effects[effects.index == item]) for item in (MARKER, OBJECT)]
            lines.append([part.name, kind, *accuracy, *changed, uses_object(own)])
    header = ["part", "network", "accuracy, images as taught", "accuracy, test", "marker", "object", "uses the object"]
    return f"""## What the networks learnt

Median over the seeds (least to largest). *marker* and *object*: share of predictions that change when it is hidden, less
the share that change when as large an area elsewhere is hidden. *Uses the object*: networks where the interval of that
effect lies above 0.

{table(header, lines)}"""


def marker(figures: pd.DataFrame) -> str:
    """Evidence that points to the marker."""
    blocks = []
    for part in MEASURED_ON:
        found = [shares(pointing(part_of(figures, part.name, kind))) for kind in (SHORTCUT, CONTROL)]
        names = {"all": "**all of these**", "any": "**any of these**"}
        lines = [[names.get(name, name), found[0][name], found[1][name]] for name in found[0]]
        blocks.append(f"{part.architecture}, {part.title}:\n\n{table(['evidence', SHORTCUT, CONTROL], lines)}")
    tables = "\n".join(blocks)
    return f"""## Does the evidence point to the marker

Networks in which it does. *Region mass*: the 95 % interval of the attribution on the marker over the marker's area lies
above 1, which an even map has. *Intervention*: the interval of the effect of hiding the marker lies above 0. *Finding*: the
rule of the default policy, for a marker that should not matter, is `fail`. Wanted: all of it in at least 18 of 20
networks taught the shortcut, any of it in at most 3 of 20 controls.

{tables}"""


def masses(figures: pd.DataFrame) -> str:
    """Where each method puts its mass."""
    own = part_of(figures, HELD_OUT.name)
    own = own[own["quantity"] == "region"]
    lines = []
    for method, title in METHODS.items():
        cells = [
            spread(own[(own["method"] == method) & (own["kind"] == kind) & (own["item"] == region)]["value"], 1)
            for region in (MARKER, OBJECT)
            for kind in (SHORTCUT, CONTROL)
        ]
        lines.append([title, *cells])
    header = ["method", *(f"{region}, {kind}" for region in (MARKER, OBJECT) for kind in (SHORTCUT, CONTROL))]
    return f"""## Where each method puts its mass

Attribution on the region over its area, mean over the images with the region; median over the {own["seed"].nunique()} seeds of
{HELD_OUT.architecture} (least to largest). That of a fake is nearly the same for both: it says nothing of the network.

{table(header, lines)}"""


def limits(figures: pd.DataFrame) -> str:
    """What the page does not show."""
    del figures
    return """## What this does not show

The objects are drawn, 32 px wide, two classes, on small networks trained for seconds, in PyTorch; the same methods give
the same maps in Keras ([explanations](explanations.md)), but networks trained there are not in this table. On photographs and on
large networks maps of shuffled weights may be more alike and gains smaller; then more stamps are open. A stamp says that
the maps follow what this network computes on these images; it does not say that a reader will see in them what is
there. Networks of one part share an architecture and a recipe; the intervals speak of further seeds of that recipe.
The fakes are five, and a cleverer one, with less of the image and more of the model in it, is at some point no fake.
"""


def times(figures: pd.DataFrame) -> str:
    """What it took."""
    rows = figures[figures["quantity"] == "seconds"].groupby("item")["value"]
    total, mean = rows.sum(), rows.mean()
    count = len(figures[["architecture", "kind", "seed"]].drop_duplicates())
    return (
        f"Processor time: {count} networks, {mean['training']:.0f} s of training and {mean['audit']:.0f} s of audit each; "
        f"together {total.sum() / 60:.0f} minutes, on two cores half of that.\n"
    )
