"""What the models say of one image when a region of it is hidden, and when as large an area elsewhere is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import data, parts
from dashboard.explanations.among import by_model
from dashboard.explanations.words import action_words, not_measured
from dashboard.text import escape
from reports.format import clean, known, plain, status_words

__all__ = ["change_rows", "changed_image"]

_CONTROL = "control"
_ORDER = {"hide": 0, _CONTROL: 1, "swap": 2}


def changed_image(run: Run, image_id: str) -> None:
    """Rows of table `interventions` of one image, in words."""
    st.header("With a region hidden")
    rows = data.table(run, "interventions", filters=(("image_id", "=", image_id),))
    if rows.empty:
        nowhere = data.distinct(run, "intervention_groups", ("region",)).empty
        text = "This image was not among those that were changed: only a sample is."
        what = "What hiding a region changes"
        st.info(escape(not_measured(run, "interventions", what) if nowhere else text))
        return
    st.caption(
        "The same image with pixels replaced, seen by the model again. A change that equal areas elsewhere do not "
        "bring about is due to what the region showed, or to what it was filled with."
    )
    config = {
        "what was changed": st.column_config.TextColumn("What was changed", width=230),
        "prediction": st.column_config.TextColumn("Prediction", width=230),
    }
    parts.data_table(run, by_model(run, change_rows(rows)), f"hidden-{image_id}", config=config)


def change_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `interventions` as a reader sees them: what was changed, and what the prediction became."""
    seen: Counter[tuple[str, str]] = Counter()
    out = []
    order = rows["action"].map(_ORDER).fillna(len(_ORDER))
    for row in data.records(rows.assign(order=order).sort_values(["region", "order"], kind="stable")):
        key = (str(row["model"]), str(row["region"]))
        words = action_words(str(row["action"]))
        if row["action"] == _CONTROL:
            seen[key] += 1
            words = f"{words}, {seen[key]}"
        before, after = row["probability"], row["probability_after"]
        out.append(
            {
                "model": row["model"],
                "region": plain(str(row["region"])),
                "what was changed": words + (f" ({clean(row['detail'])})" if _said(row) else ""),
                "area": row["area"],
                "prediction": _outcome(row),
                "probability before": before,
                "probability after": after,
                "drop": before - after if known(before) and known(after) else None,
            }
        )
    return pd.DataFrame(out).astype({"area": "float64", "probability after": "float64", "drop": "float64"})


def _said(row: dict[str, Any]) -> bool:
    return row["status"] == "ok" and bool(known(row["detail"]) and row["detail"])


def _outcome(row: dict[str, Any]) -> str:
    if row["status"] != "ok" or not known(row["changed"]):
        reason = clean(row["detail"]) if known(row["detail"]) and row["detail"] else status_words(row["status"])
        return f"– not made: {reason}"
    if row["changed"]:
        return clean(f"✕ {row['predicted']} becomes {row['predicted_after']}")
    return clean(f"= stays {row['predicted']}")
