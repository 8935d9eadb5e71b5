"""What is wrong with the data: images that could not be used, the same file twice, and images known from training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import streamlit as st

from audit.run import Run
from audit.run.tables import table_path
from dashboard import data, parts, state
from dashboard.text import escape
from reports.format import clean, count, plain, status_words

__all__ = ["copies", "duplicates", "known_images", "shared_clusters", "unusable"]

_ALL = "all"
_TRAINED_ON = "trained_on"
_LIKE_TRAINED_ON = "looks_trained_on"
_ALIKE = "looks_alike"


def unusable(run: Run) -> None:
    """Counts by stage and reason, and the list of one of the stages."""
    st.header("What did not make it")
    frame = data.table(run, "problems")
    if frame.empty:
        written = run.has("problems")
        st.info("No image, group or check failed." if written else "No table of problems was written yet.")
        return
    counted = frame.groupby(["stage", "status"], sort=False).size().rename("entries").reset_index()
    st.text(
        f"{count(len(frame))} images, groups or checks did not make it, or are doubtful. "
        "An image without a prediction counts neither as right nor as wrong; a copy counts like every image."
    )
    said = [
        f"{plain(row['stage'])}: {count(row['entries'])} {status_words(row['status'])}" for row in data.records(counted)
    ]
    st.markdown("\n".join(f"- {escape(sentence)}" for sentence in said))
    stages = [_ALL, *(str(name) for name in counted["stage"].unique())]
    stage = state.choose("Stage", "stage", stages, show=lambda name: "every stage" if name == _ALL else plain(name))
    shown = frame if stage == _ALL else frame[frame["stage"] == stage]
    parts.data_table(run, shown.assign(status=shown["status"].map(status_words)), f"problems-{stage}")


def duplicates(run: Run) -> None:
    """Images that occur several times, as the very same file or as pictures that look alike."""
    st.header("Copies of images")
    if not run.has("images"):
        st.info("Rows on single images are not in this run, so copies cannot be looked for.")
        return
    _same(run)
    _alike(run)
    st.caption(
        "Copies count more than once in every number, and intervals take them for different images unless they are in "
        "one cluster."
    )


def _same(run: Run) -> None:
    """Images whose very bytes occur several times, and whether their labels agree."""
    found = copies(run)
    if found.empty:
        st.text("No two images are the same file.")
        return
    extra = int(found["images"].sum()) - len(found)
    differ = int((found["labels"].str.contains(", ", regex=False)).sum())
    text = f"Files that occur more than once: {count(len(found))}. Images that are copies of another: {count(extra)}."
    text += f" Files whose copies bear different labels: {count(differ)}." if differ else " Copies bear the same label."
    st.text(clean(text))
    parts.data_table(run, found, "copies")


def _alike(run: Run) -> None:
    """Images that look like another, if the audit has looked for them."""
    bits = _bits(run)
    if bits is None:
        st.caption("Images that look alike without being the same file were not looked for (`data.look_alikes`).")
        return
    seen = data.table(run, "problems", filters=(("status", "=", _ALIKE),))
    if seen.empty:
        st.text(f"No two other images look alike: none agree in all but {bits} of 255 bits of their perceptual hashes.")
        return
    st.text(f"Images that look like another one before them, in another format or size perhaps: {count(len(seen))}.")
    parts.data_table(run, seen[["image_id", "path", "detail"]], "look-alikes")


def _bits(run: Run) -> int | None:
    """How many bits may differ between pictures that look alike; None where none were looked for, or nobody knows."""
    found = ((run.record.get("config") or {}).get("data") or {}).get("look_alikes")
    return found if isinstance(found, int) else None


def copies(run: Run) -> pd.DataFrame:
    """Files that occur more than once.

    Returns
    -------
    DataFrame
        ``file`` (SHA-256), ``images``, ``labels``, ``image ids``; the most frequent first.
    """
    return _copies(str(run.path), data.changed(run, "images"))


@st.cache_data(max_entries=16, show_spinner=False)
def _copies(path: str, stamp: int) -> pd.DataFrame:  # noqa: ARG001  the stamp is part of the cache's key
    file = table_path(Path(path), "images")
    names = ["file", "images", "labels", "image ids"]
    digests = pq.read_table(file, columns=["sha256"])["sha256"].combine_chunks().dictionary_encode()
    place = digests.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    often = np.bincount(place[place >= 0], minlength=len(digests.dictionary)) > 1
    where = np.flatnonzero((place >= 0) & np.append(often, False)[place])
    if not len(where):
        return pd.DataFrame({name: [] for name in names})
    rows = pq.read_table(file, columns=["image_id", "label", "sha256"]).take(where).to_pandas()
    out = [
        (digest, len(part), ", ".join(sorted({str(name) for name in part["label"]})), ", ".join(part["image_id"]))
        for digest, part in rows.groupby("sha256", sort=False)
    ]
    return pd.DataFrame(out, columns=names).sort_values("images", ascending=False, kind="stable", ignore_index=True)


def known_images(run: Run) -> None:
    """Audited images, and clusters, that a model was also trained on."""
    st.header("Images and clusters known from training")
    if data.distinct(run, "members", ("model",)).empty:
        st.info("The training data were not given (`training_data` of the model), so overlaps cannot be looked for.")
        return
    searched = _bits(run) is not None
    seen = data.table(run, "problems", filters=(("status", "in", (_TRAINED_ON, _LIKE_TRAINED_ON)),))
    for model in run.models:
        own, alike = (
            int(((seen["model"] == model) & (seen["status"] == status)).sum())
            for status in (_TRAINED_ON, _LIKE_TRAINED_ON)
        )
        shared, of = shared_clusters(run, model)
        text = f"{model}: audited images that are also training images, byte by byte: {count(own)}."
        text += f" Others that look like one: {count(alike)}." if searched else ""
        text += f" Clusters with images on both sides: {count(shared)} of {count(of)}." if of else ""
        st.text(clean(text))
    st.caption(
        "A model knows the answers to images that it was trained on: its figures are too good there. A cluster on "
        "both sides, such as a person, makes copies likely that neither bytes nor looks give away."
    )
    if len(seen):
        parts.data_table(run, seen.assign(status=seen["status"].map(status_words)), "trained-on")


def shared_clusters(run: Run, model: str) -> tuple[int, int]:
    """Clusters that are among the training images too, and clusters among the audited images."""
    return _shared(str(run.path), data.changed(run, "images"), data.changed(run, "members"), model)


@st.cache_data(max_entries=64, show_spinner=False)
def _shared(path: str, images: int, members: int, model: str) -> tuple[int, int]:
    if not images or not members:
        return 0, 0
    audited, trained = (
        pq.read_table(table_path(Path(path), name), columns=["cluster"], filters=chosen)["cluster"].unique().drop_null()
        for name, chosen in (("images", None), ("members", [("model", "=", model)]))
    )
    return int(pc.sum(pc.is_in(audited, value_set=trained)).as_py() or 0), len(audited)
