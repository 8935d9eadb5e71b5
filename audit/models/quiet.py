"""Importing TensorFlow without the lines that its native code writes to the terminal."""

from __future__ import annotations

import importlib
import os
from importlib.util import find_spec

__all__ = ["import_tensorflow"]


def import_tensorflow() -> None:
    """Import TensorFlow once, with standard error closed to native code while it loads.

    Errors still come as exceptions. Set ``TF_CPP_MIN_LOG_LEVEL=0`` to see everything.
    """
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if find_spec("tensorflow") is None or level == "0":
        return
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        importlib.import_module("tensorflow")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
