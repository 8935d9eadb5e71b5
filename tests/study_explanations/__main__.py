"""Entry of ``python -m tests.study_explanations``: one thread of linear algebra a process, then the command."""

from __future__ import annotations

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

if __name__ == "__main__":
    from tests.study_explanations.run import main

    main()
