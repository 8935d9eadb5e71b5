"""What the models look at: what was explained, stamps, region shares, quality; and the maps themselves."""

from __future__ import annotations

import pandas as pd

from reports.format import count
from reports.language import say
from reports.nodes import Callout, Paragraph, Section
from reports.sections.explained import asked
from reports.sections.facts import Facts
from reports.sections.gallery import gallery
from reports.sections.mean_maps import mean_maps
from reports.sections.quality import quality
from reports.sections.regions import regions
from reports.sections.stamps import stamps

__all__ = ["explanations", "maps"]


def explanations(facts: Facts) -> Section:
    """Stamps first: what stands below them rests on them."""
    table = facts.run.table("explanations", columns=["image_id", "status"])
    title = say("What the models look at")
    if table.empty:
        text = say("No image was explained in this run, so nothing can be said about what the models look at.")
        return Section("explanations", title, (Callout(say("Not measured"), text),))
    parts = [part for part in (stamps(facts), regions(facts), quality(facts)) if part is not None]
    return Section("explanations", title, (Paragraph(_sample(facts, table)), *parts))


def maps(facts: Facts) -> Section | None:
    """Mean maps and single maps; None where there are none of either."""
    parts = tuple(part for part in (mean_maps(facts), gallery(facts)) if part is not None)
    return Section("maps", say("The maps themselves"), parts) if parts else None


def _sample(facts: Facts, table: pd.DataFrame) -> str:
    images = table["image_id"].nunique()
    done = table[table["status"].isin(["ok", "not_converged"])]["image_id"].nunique()
    return say(
        "{done} of {sampled} sampled images were explained, the same for every model. {asked}",
        done=count(done),
        sampled=count(images),
        asked=asked(facts),
    )
