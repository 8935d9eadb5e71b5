"""Weights of untrusted formats, opened in a confined child: PyTorch's pickles become safetensors, HDF5 is looked over.

This process never unpickles. The child has limits on memory, on time and on what it writes, and no network; see
`audit.models.limits` for what keeps each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from audit.errors import ModelError

__all__ = ["CONVERTED", "SECONDS", "in_child"]

CONVERTED = "weights.safetensors"
"""Name of the file that the child leaves beside the one it read."""

SECONDS = 60.0
"""Longest that opening one file may take, beyond a second for each 20 MB."""

_SPEED = 20e6
_MEMORY = 2**30
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "SYSTEMROOT")


def in_child(
    kind: Literal["torch", "hdf5"], source: Path, original: Path, *, seconds: float = SECONDS
) -> dict[str, Any]:
    """What the child says of a file.

    Parameters
    ----------
    kind : str
        ``torch``: convert a state dict; ``hdf5``: read every dataset, follow no link.
    source : Path
        In a folder that the child may write to.
    original : Path
        For errors.
    seconds : float
        See `SECONDS`.

    Returns
    -------
    dict
        As `audit.models.converter` answers.

    Raises
    ------
    ModelError
        It met a limit or crashed.
    """
    size = source.stat().st_size
    longest, memory = seconds + size / _SPEED, _MEMORY + 4 * size
    order = {"kind": kind, "source": str(source), "folder": str(source.parent), "memory": memory, "written": memory}
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {"HOME": str(source.parent), "TMPDIR": str(source.parent), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as log:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "audit.models.converter"],
                input=json.dumps(order).encode() + b"\n",
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                timeout=longest,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise _limit(f"took longer than {longest:.0f} s to read", original) from None
        if not done.stdout.endswith(b"\n"):
            raise _limit(f"ended the process that read it, with code {done.returncode}:{_tail(log)}", original)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise _limit("made the process that read it say nonsense", original) from None
    if answer.get("problem") == "memory":
        raise _limit(f"takes more than {memory / 1e9:.1f} GB of memory to read", original)
    return answer


def _limit(what: str, original: Path) -> ModelError:
    return ModelError(
        f"{what}, and was not loaded", where=str(original), fix="save the weights again, as safetensors or .keras"
    )


def _tail(log: Any) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return f" {lines[-1][:300]}" if lines else ""
