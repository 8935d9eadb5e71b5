"""What a training shows in plain words: over-fitting, collapse, an early end. Numbers in, sentences out."""

from __future__ import annotations

import numpy as np

from audit.training.settings import EpochRecord, Integers

__all__ = ["training_notes"]

_WIDE_GAP = 0.05
_NEAR_CHANCE = 0.1


def training_notes(
    history: tuple[EpochRecord, ...], best_epoch: int, labels: Integers, predicted: Integers, classes: tuple[str, ...]
) -> tuple[str, ...]:
    """Describe a finished training.

    Parameters
    ----------
    history : tuple of EpochRecord
    best_epoch : int
        The epoch that was kept, from 1.
    labels, predicted : ndarray of int64, (N,)
        True and predicted classes of the validation images, by the model that was kept.
    classes : tuple of str

    Returns
    -------
    tuple of str
        Sentences; the first is always the gap between training and validation.
    """
    kept = history[best_epoch - 1]
    notes = [_gap(kept), *_rising(history, best_epoch), *_collapse(kept, labels, predicted, classes)]
    return tuple(notes)


def _gap(kept: EpochRecord) -> str:
    gap = kept.accuracy - kept.val_accuracy
    figures = (
        f"Accuracy in epoch {kept.epoch}, the one kept: {kept.accuracy:.3f} on training images, "
        f"{kept.val_accuracy:.3f} on validation images"
    )
    if gap >= _WIDE_GAP:
        return f"{figures}. The gap of {gap:.3f} suggests over-fitting: part of what was learned does not carry over."
    return f"{figures}. The gap of {gap:.3f} is no sign of over-fitting."


def _rising(history: tuple[EpochRecord, ...], best_epoch: int) -> list[str]:
    losses = [record.val_loss for record in history]
    lowest = int(np.argmin(losses))
    if len(losses) - lowest > 3 and losses[-1] > 1.1 * losses[lowest]:
        kept = "that epoch was kept" if best_epoch == lowest + 1 else "`early_stopping` would keep that epoch"
        sentence = (
            f"Validation loss was lowest in epoch {lowest + 1} ({losses[lowest]:.3f}) and rose to "
            f"{losses[-1]:.3f}, a sign of over-fitting; {kept}."
        )
        return [sentence]
    return []


def _collapse(kept: EpochRecord, labels: Integers, predicted: Integers, classes: tuple[str, ...]) -> list[str]:
    notes = []
    if len(np.unique(labels)) > 1 and len(np.unique(predicted)) == 1:
        notes.append(
            f"Collapse: the model gives '{classes[predicted[0]]}' for every validation image. It has learned "
            "nothing that tells the classes apart; try another seed or learning rate."
        )
    chance = float(np.bincount(labels, minlength=len(classes)).max()) / len(labels)
    if kept.accuracy < chance + _NEAR_CHANCE * (1 - chance):
        notes.append(
            f"Training accuracy {kept.accuracy:.3f} is near what always giving the commonest class would reach "
            f"({chance:.3f}): the training has collapsed or has not begun to learn."
        )
    return notes
