"""Cross-checks against independent implementations, and what is known of the training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from reports.figures import Curve, CurvesFigure
from reports.format import NOTHING, clean, count, known, number, rate, scientific, signed, status_words
from reports.language import phrase, say
from reports.nodes import Block, Bullets, Callout, Cell, Column, FigureBlock, FigureRow, Paragraph, Section
from reports.sections.facts import Facts, pick, records
from reports.sections.tables import capped, muted

__all__ = ["crosschecks", "training"]


def crosschecks(facts: Facts) -> Section:
    """How far captum's and tf-explain's maps of the same model differ from the audit's own."""
    table = facts.run.table("crosschecks")
    title = say("Cross-check with other implementations")
    if table.empty:
        text = say("No map was compared with an independent implementation in this run.")
        return Section("crosschecks", title, (Callout(say("Not measured"), text),))
    rows: list[tuple[Cell, ...]] = []
    for key, part in table.groupby(["model", "method", "provider"], sort=False):
        rows += _checked(facts, key, part)
    heads = (say("Method"), say("Model"), say("Provider"))
    numbers = (say("Images"), say("Largest difference"), say("Lowest rank correlation"))
    columns = [*(Column(head) for head in heads), *(Column(head, numeric=True) for head in numbers)]
    columns.append(Column(say("Note")))
    text = say(
        "The audited model was also run through an independent package on some of the explained images. The difference "
        "is the largest over all pixels and images, relative to the map's own largest absolute value; the rank "
        "correlation is the lowest of all images. Agreement shows that the method was carried out as defined, not that "
        "the map is true to the model's reasons."
    )
    return Section("crosschecks", title, (Paragraph(text), capped(title, columns, rows, source="crosschecks")))


def _checked(facts: Facts, key: Any, part: pd.DataFrame) -> list[tuple[Cell, ...]]:
    """One row for what was compared, one for each reason why something was not."""
    model, method, provider = key
    heads = (Cell(facts.method(method).title), Cell(clean(model)), Cell(clean(provider)))
    rows: list[tuple[Cell, ...]] = []
    for status, some in part.groupby("status", sort=False):
        notes = say("; ").join(clean(note) for note in some["note"].dropna().unique() if str(note).strip())
        if status == "ok":
            largest, lowest = some["max_difference"].max(), some["spearman"].min()
            values = (Cell(scientific(largest)), Cell(_correlation(lowest)))
        else:
            values = (muted(status_words(status)), muted(NOTHING))
        rows.append((*heads, Cell(count(len(some))), *values, muted(notes or NOTHING)))
    return rows


def _correlation(value: Any) -> str:
    """A correlation, never rounded up to 1."""
    if not known(value):
        return NOTHING
    return rate(value) if float(value) < 0.9995 else ("> 0.999" if float(value) < 1 else "1.000")


def training(facts: Facts) -> Section:
    """Curves of each model whose training is known, and whether it shows over-fitting."""
    table = facts.run.table("training")
    title = say("Training and over-fitting")
    if table.empty:
        text = say("No training history was given for any model, so over-fitting during training cannot be judged.")
        return Section("training", title, (Callout(say("Not known"), text),))
    notes: list[str] = []
    blocks: list[Block] = []
    for model in facts.run.models:
        part = pick(table, model=model).sort_values("epoch")
        if part.empty:
            notes.append(say("{model}: no training history was given.", model=clean(model)))
            continue
        figures = [_curves(model, part, metric) for metric in _CURVES]
        blocks.append(FigureRow(tuple(FigureBlock(figure, figure.title) for figure in figures if figure is not None)))
        notes += _notes(facts, model, records(part))
    text = say(
        "Training and validation curves of the same epochs. A validation loss that rises while the training loss "
        "falls is over-fitting; a gap between the two accuracies says how far the training images "
        "are known by heart."
    )
    return Section("training", title, (Paragraph(text), Bullets(tuple(notes)), *blocks))


_CURVES = {"loss": phrase("loss"), "accuracy": phrase("accuracy")}


def _curves(model: str, part: pd.DataFrame, metric: str) -> CurvesFigure | None:
    curves = []
    for column, name in ((metric, say("training")), (f"val_{metric}", say("validation"))):
        values = tuple(float(value) if _finite(value) else None for value in part[column])
        if any(value is not None for value in values):
            curves.append(Curve(name, values, dashed=column.startswith("val_")))
    if not curves:
        return None
    best = _best_epoch(records(part))
    label = say("least validation loss") if best is not None else ""
    epochs, axis = tuple(int(epoch) for epoch in part["epoch"]), say(_CURVES[metric])
    title = say("{model}: {axis}", model=clean(model), axis=axis)
    return CurvesFigure(title, axis, epochs, tuple(curves), best, label)


def _finite(value: Any) -> bool:
    return known(value) and math.isfinite(float(value))


def _best_epoch(rows: list[dict[str, Any]]) -> int | None:
    known_losses = [row for row in rows if _finite(row["val_loss"])]
    return int(min(known_losses, key=lambda row: float(row["val_loss"]))["epoch"]) if known_losses else None


def _notes(facts: Facts, model: str, rows: list[dict[str, Any]]) -> list[str]:
    name, last = clean(model), rows[-1]
    notes = [_least(name, rows)]
    if _finite(last["accuracy"]) and _finite(last["val_accuracy"]):
        text = say(
            "{model}: accuracy in training {training}, in validation {validation}, a gap of {gap} at the last epoch.",
            model=name,
            training=rate(last["accuracy"]),
            validation=rate(last["val_accuracy"]),
            gap=signed(float(last["accuracy"]) - float(last["val_accuracy"])),
        )
        notes.append(text)
    seconds = [float(row["seconds"]) for row in rows if _finite(row["seconds"])]
    if seconds:
        mean = number(sum(seconds) / len(seconds))
        notes.append(
            say("{model}: {mean} s per epoch, {epochs} epochs.", model=name, mean=mean, epochs=count(len(rows)))
        )
    return notes + _recorded(facts, model)


def _least(name: str, rows: list[dict[str, Any]]) -> str:
    """When the validation loss was least, and whether it has risen since."""
    best, last = _best_epoch(rows), rows[-1]
    if best is None:
        return say("{model}: no validation loss was recorded, so over-fitting cannot be judged.", model=name)
    least = number(min(float(row["val_loss"]) for row in rows if _finite(row["val_loss"])))
    if int(last["epoch"]) <= best or not _finite(last["val_loss"]):
        return say(
            "{model}: the validation loss was least at epoch {best} ({least}).", model=name, best=best, least=least
        )
    return say(
        "{model}: the validation loss was least at epoch {best} ({least}) and {last} at the last, epoch {epoch}.",
        model=name,
        best=best,
        least=least,
        last=number(last["val_loss"]),
        epoch=int(last["epoch"]),
    )


def _recorded(facts: Facts, model: str) -> list[str]:
    """The note that the training itself left."""
    all_notes = facts.data.get("training")
    own = all_notes.get(model) if isinstance(all_notes, Mapping) else None
    note = own.get("note") if isinstance(own, Mapping) else None
    return [say("{model}: {note}", model=clean(model), note=clean(note))] if known(note) and str(note).strip() else []
