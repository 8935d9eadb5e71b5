"""PyTorch's compiler must be loaded before TensorFlow: the other way round the process ends in a crash.

Both bring an LLVM of their own. Only tests put the two frameworks into one process.
"""

from __future__ import annotations

from contextlib import suppress

with suppress(ImportError):
    import triton  # noqa: F401
