"""What Keras reads from files: `.keras` and legacy HDF5, scanned before Keras, on whatever backend, sees them."""

from __future__ import annotations

import keras

from audit.errors import ModelError
from audit.models.files import ModelFile
from audit.models.keras_scan import scan_keras
from audit.trust import Trust

__all__ = ["read_model"]


def read_model(file: ModelFile, trust: Trust) -> keras.Model:
    """A model from ``.keras`` or HDF5, without its optimiser.

    Parameters
    ----------
    file : ModelFile
        Its configuration is scanned, and its weights are read in a confined process, before Keras sees it.
    trust : Trust
        Whether Lambda layers that the file carries may run.

    Raises
    ------
    ModelError
        It is no such file, or holds what must not be loaded.
    """
    carried = scan_keras(file)
    if carried is not None:
        file.admit(trust, f"carries code of its own ({carried})", "save the model with layers of Keras in its place")
    try:
        model = keras.saving.load_model(file.path, compile=False, safe_mode=carried is None)
    except Exception as error:
        raise _explained(error, str(file.original)) from error
    if not isinstance(model, keras.Model):
        raise ModelError(f"holds a {type(model).__name__}, not a keras.Model", where=str(file.original))
    return model


def _explained(error: Exception, where: str) -> ModelError:
    text = " ".join(str(error).split())
    lowered = text.lower()
    if isinstance(error, MemoryError) or "oom when allocating" in lowered or "unable to allocate" in lowered:
        return ModelError(
            f"takes more memory to build than its size accounts for: {text[:300]}",
            where=where,
            fix="look at the shapes in its configuration",
        )
    if "could not locate" in lowered or "unknown layer" in lowered or "register_keras_serializable" in lowered:
        return ModelError(
            f"uses a class that this program does not have: {text[:300]}",
            where=where,
            fix="load it in Python with its classes and call audit.audit(model, ...)",
        )
    return ModelError(
        f"cannot be loaded as a Keras model: {text[:300]}", where=where, fix="save it again with model.save(PATH.keras)"
    )
