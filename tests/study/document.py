"""The study's figures as the page docs/operating-characteristics.md. Every number in it comes from the figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

__all__ = ["grid", "write"]

HEAD = """# Operating characteristics

What the intervals, tests and verdicts of this project do where the truth is known. Written by `make study`
(`python -m tests.study`) and not by hand; every figure, with its settings, stands in
[operating-characteristics.csv](operating-characteristics.csv). Figures that are enumerated are exact. Simulated ones
are followed by their Monte Carlo standard error (±). Nominal level 95 % throughout; what is computed is the project's
own code, called as the tables of a run call it.
"""

Cell = Callable[[pd.Series], str]


def write(figures: pd.DataFrame, path: Path) -> str:
    """Write the page, and return its text."""
    blocks = [HEAD]
    for part, section in SECTIONS.items():
        chosen = figures[figures["run"] == part]
        blocks.append(section(chosen) if len(chosen) else f"## {part}\n\nNot measured.\n")
    seconds = figures.groupby("run")["seconds"].first()
    blocks.append(
        "Processor time: "
        + ", ".join(f"{part} {seconds[part]:.0f} s" for part in SECTIONS if part in seconds)
        + f"; together {seconds.sum() / 60:.1f} minutes, on two cores half of that.\n"
    )
    text = "\n".join(blocks)
    path.write_text(text, encoding="utf-8")
    return text


def share(row: pd.Series) -> str:
    """A share with its error, where it has one; counts where none or all of the replicates were hit."""
    if row["trials"] > 0 and row["error"] == 0:
        return f"{row['value'] * row['trials']:.0f} of {row['trials']:.0f}"
    return f"{row['value']:.3f}" + (f" ± {row['error']:.3f}" if row["error"] > 0 else "")


def grid(frame: pd.DataFrame, rows: Sequence[str], column: str, cell: Cell = share, heads: str = "{}") -> str:
    """A Markdown table: one line for each combination of `rows`, one column for each value of `column`."""
    values = list(dict.fromkeys(frame[column]))
    lines = [[*(NAMES.get(name, name) for name in rows), *(heads.format(shown(value)) for value in values)]]
    lines.append(["---"] * len(lines[0]))
    for keys, own in frame.groupby(list(rows), sort=False, dropna=False):
        found = {row[column]: cell(row) for _, row in own.iterrows()}
        lines.append([*(shown(key) for key in keys), *(found.get(value, "") for value in values)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


NAMES = {
    "n": "images a group",
    "clusters": "clusters a group",
    "icc": "correlation",
    "rate": "true rate",
    "gap": "true gap",
    "drawing": "drawn",
    "trials": "audits",
}


def shown(value: object) -> str:
    """A key of the table in words; nothing for a missing one."""
    if isinstance(value, float):
        return "" if value != value else f"{value:g}"
    return str(value)


def worst(frame: pd.DataFrame, keys: Sequence[str]) -> str:
    """The smallest value, and where."""
    row = frame.loc[frame["value"].idxmin()]
    where = ", ".join(f"{NAMES.get(key, key)} {shown(row[key])}" for key in keys if shown(row[key]))
    return f"{share(row)} ({where})"


def rate_section(figures: pd.DataFrame) -> str:
    """Coverage without clusters."""
    rate, difference = (figures[figures["part"] == part] for part in ("rate", "difference"))
    own = rate[rate["method"] == "reported"]
    return f"""## One rate, images independent

Chance that the 95 % interval covers the true rate, enumerated over all counts. The least of the reported interval
(Clopper-Pearson) is {worst(own, ("n", "rate"))}; promised is at least .94 in every cell. Wilson's and the percentile
bootstrap (endless draws) are what other tools report.

{grid(rate, ("method", "n"), "rate", heads="p = {}")}
### Difference of two rates

Newcombe's interval, enumerated. It is not exact and not promised to be; its least here is
{worst(difference, ("setting", "rate", "gap"))}. Such cells have few failures in one group.

{grid(difference, ("rate", "gap"), "setting")}"""


def cluster_section(figures: pd.DataFrame) -> str:
    """Coverage with clusters."""
    coverage = figures[figures["quantity"] == "coverage"]
    reported = coverage[coverage["method"] == "reported"]
    own, large = (reported[reported["setting"] == f"{sizes} images"] for sizes in ("2 to 5", "5 to 20"))
    keys = ("clusters", "icc", "drawing", "rate")
    enough, few = own[own["clusters"] >= 30], own[own["clusters"] < 30]
    below = few[few["value"] < 0.93]
    said = "no cell" if below.empty else f"{len(below)} of {len(few)} cells, the lowest {worst(below, keys)}"
    other = coverage[
        (coverage["method"] == "percentile cluster bootstrap") | (coverage["method"].str.startswith("images"))
    ]
    other = other[(other["clusters"] == 30) & (other["setting"] == "2 to 5 images")]
    boot = other[other["method"] == "percentile cluster bootstrap"]
    return f"""## One rate, images in clusters

Clusters of 2 to 5 images (each size as likely), images of one cluster correlated. Share of replicates
({int(own["trials"].max())} a cell) in which the reported interval (`korn_graubard`) covers the true rate. `beta`: each cluster has a
rate of its own, from a beta distribution. `mixture`: a cluster is all or nothing with the chance of the correlation, and
else its images are independent; the hardest case, for a cluster that fails as a whole may by luck not be seen. At 0
and 1 the two are the same.

From 30 clusters a group on, the least is {worst(enough, keys)}; promised is at
least .93. With 10 and 20 clusters, below .93: {said}.

{grid(own, ("clusters", "icc", "drawing"), "rate", heads="p = {}")}
**Not promised: larger clusters**, of 5 to 20 images. From 30 clusters on the least is
{worst(large[large["clusters"] >= 30], keys)}.

{grid(large, ("clusters", "icc", "drawing"), "rate", heads="p = {}")}
Beside it, at 30 clusters of 2 to 5: the exact interval that takes images as independent, and the percentile bootstrap
that redraws clusters ({int(boot["trials"].max())} replicates a cell).

{grid(other.sort_values("method", kind="stable"), ("method", "icc", "drawing"), "rate", heads="p = {}")}"""


def range_section(figures: pd.DataFrame) -> str:
    """Ranges."""
    keys = ("setting", "rate", "gap", "groups", "n", "clusters", "icc", "method")
    measured = figures[figures["quantity"] != "mean observed range"]
    own = measured[(measured["method"] == "reported") & (measured["quantity"] == "coverage")]
    observed = figures[(figures["quantity"] == "mean observed range") & (figures["gap"] == 0)]
    return f"""## Largest minus smallest rate

The reported interval of the range (simultaneous over all pairs of groups) and, without clusters, the percentile
bootstrap of the observed range. Where all groups are alike, a lower bound above 0 is a false claim. The least coverage
of the reported one is {worst(own, ("setting", "groups", "rate", "gap", "n", "clusters", "icc"))}.

{grid(measured, keys, "quantity")}
The observed range is never 0: its mean, where the true one is.

{grid(observed, ("groups", "n", "rate"), "quantity")}"""


def alarm_section(figures: pd.DataFrame) -> str:
    """False alarms."""
    checked = figures[figures["quantity"] == "shortcut decides as judge does"]
    figures = figures[figures["quantity"] == "alarm"]
    whole = figures[figures["method"] != "four-fifths rule on the observed rates"]
    fifths = figures[figures["method"] == "four-fifths rule on the observed rates"]
    own = whole[whole["method"].str.startswith("any fail")]
    most = own.loc[own["value"].idxmax()]
    return f"""## False alarms in whole audits

12 groups, 5 rules (range of accuracy, true positive rate, false positive rate, selection rate and precision at tolerance
0, Holm). All groups are served alike: every class is found with chance .9. An alarm is any `fail` in the audit, drawn
by the project's own `judge` with 1,999 permutations. With clusters (2 to 5 images), class and error of a cluster's
images are correlated by .6. The most is {share(most)} ({most["setting"]});
promised is at most .06. Audits that cannot fail by their intervals are not judged to the end; on
{checked["trials"].sum():.0f} audits that were, the shortcut decided the same {(checked["value"] * checked["trials"]).sum():.0f} times.

Beside it, on the same audits, what a reader without correction would call: any of the 60 single comparisons (each group
against the rest, five metrics) whose own 95 % interval leaves 0 out, and any observed range above a tolerance.

{grid(whole, ("setting", "icc", "trials"), "method")}
{grid(fifths, ("method", "groups", "setting", "rate"), "quantity")}"""


def power_section(figures: pd.DataFrame) -> str:
    """Power and sample size."""
    power = figures[figures["part"] == "power"].assign(what=lambda t: t["quantity"] + ", " + t["method"])
    fail, passed = (power[power["quantity"] == name] for name in ("fail", "pass"))
    size = figures[figures["part"] == "sample size"].copy()
    size["shown"] = [sized(row) for _, row in size.iterrows()]
    return f"""## Power

One group is served worse by the true gap than the others, whose rate is .9; groups of equal size, images independent.
Share of audits in which the rule fails (interval beyond the tolerance and permutation test): the rule alone, and in the
first step of Holm's procedure over five rules, the least that a family of five leaves it.

{grid(fail, ("groups", "gap", "tolerance", "what"), "n", heads="n = {}")}
Share in which a range that is truly 0 is shown to lie within the tolerance (`pass`):

{grid(passed, ("groups", "tolerance"), "n", heads="n = {}")}
Images a group from which a lone rule at tolerance 0 fails in 80 % of audits (fitted to simulated power; ± standard
error), and the gap that column `detectable` of table `gaps` gives for groups of that size and these rates. It is a normal
approximation for one pair of groups: with two groups it should be the true gap; with eight it errs upwards here, where
one group lies below seven others and any of the seven may show it.

{grid(size, ("groups", "quantity"), "gap", lambda row: str(row["shown"]), heads="gap {}")}"""


def sized(row: pd.Series) -> str:
    """A number of images, or a gap."""
    return f"{row['value']:.0f} ± {row['error']:.0f}" if row["method"] else f"{row['value']:.3f}"


def slice_section(figures: pd.DataFrame) -> str:
    """Slices."""
    planted, none = (figures[(figures["gap"] > 0) == there] for there in (True, False))
    found = planted[planted["quantity"] == "planted slice confirmed"]
    clear = found[found["method"] != "apart by 3"]
    most = none.loc[none["value"].idxmax()]
    return f"""## Slices that nobody labelled

1,000 images with embeddings of 32 dimensions, {int(found["trials"].max())} seeds a cell. A fifth of the images stands apart, by so many
standard deviations along one direction; the error rate is .1 outside and .3 inside. Found means confirmed in the half
that was not searched, with more than half of all images that lie in either slice lying in both. Promised is .9.
The least where the slice stands apart by 4 or more is {worst(clear, ("setting", "method"))}. A slice that stands less
apart, as at 3, is also found, but less often: the embeddings must show it.

{grid(planted, ("method", "setting"), "quantity")}
The same embeddings with an error rate of .1 everywhere. The most is {share(most)} ({most["setting"]}); promised is at most .1.

{grid(none, ("method", "setting"), "quantity")}"""


SECTIONS: dict[str, Callable[[pd.DataFrame], str]] = {
    "rate": rate_section,
    "clusters": cluster_section,
    "range": range_section,
    "alarms": alarm_section,
    "power": power_section,
    "slices": slice_section,
}
