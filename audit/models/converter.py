"""The process that opens weights of an untrusted format, confined: `conversion` starts one for each file.

Started as ``python -P -m audit.models.converter``, with one line of JSON on standard input: ``kind``, ``source``,
``folder`` (the only one that it may write to), ``memory`` and ``written``. One line of JSON comes back: what is known
of the content, whose converted tensors are in `conversion.CONVERTED`; or ``problem`` and, where the content is to
blame, ``said``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audit.models.conversion import CONVERTED
from audit.models.limits import confine, leave_network

__all__ = ["main"]

_WRAPPERS = ("state_dict", "model_state_dict")


def main() -> None:
    """Do what the line on standard input asks for."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answer
    order = json.loads(sys.stdin.readline())
    leave_network()
    work = _convert_torch if order["kind"] == "torch" else _check_hdf5
    _load_libraries(order["kind"])
    confine(Path(order["folder"]), order["memory"], order["written"])
    try:
        answer = work(Path(order["source"]), Path(order["folder"]))
    except MemoryError:
        answer = {"problem": "memory"}
    except Exception as error:  # whatever a parser says of content that somebody made up
        said = " ".join(f"{type(error).__name__}: {error}".split())
        answer = {"problem": "memory" if "allocate" in said else "content", "said": said[:300]}
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
    os._exit(0)  # nothing that the file left behind gets to run


def _load_libraries(kind: str) -> None:
    """Import before the limits count."""
    if kind == "torch":
        import safetensors.torch
        import torch

        torch.set_num_threads(1)
        del safetensors
    else:
        import h5py  # noqa: F401


def _convert_torch(source: Path, folder: Path) -> dict[str, Any]:
    """Tensors of a state dict, by name, as safetensors."""
    import torch
    from safetensors.torch import save_file

    content = torch.load(source, map_location="cpu", weights_only=True)
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        return {"problem": "no state dict"}
    tensors = {str(key): value.detach().clone().contiguous() for key, value in content.items()}
    save_file(tensors, folder / CONVERTED)
    return {"tensors": len(tensors)}


def _check_hdf5(source: Path, folder: Path) -> dict[str, Any]:
    """Nothing in the file points out of it, and every dataset can be read."""
    import h5py

    del folder
    with h5py.File(source, "r") as file:
        waiting: list[tuple[str, Any]] = [("", file)]
        seen: set[Any] = set()
        numbers = 0
        while waiting:
            place, group = waiting.pop()
            for name in group:
                path = f"{place}/{name}"
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    return {"problem": "link", "said": path[:200]}
                found = group[name]
                if isinstance(found, h5py.Dataset):
                    if found.external or found.is_virtual:
                        return {"problem": "link", "said": path[:200]}
                    if found.size is not None and found.dtype.kind in "biufc":
                        found[()]
                        numbers += found.size
                elif found.id not in seen:  # a group may be linked into itself
                    seen.add(found.id)
                    waiting.append((path, found))
        whole = "model_config" in file.attrs and bool(len(file.attrs["model_config"]))
        return {"config": whole, "numbers": numbers}


if __name__ == "__main__":
    main()
