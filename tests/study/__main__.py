"""Entry of ``python -m tests.study``: one thread of linear algebra a process, then the command."""

from __future__ import annotations

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

if __name__ == "__main__":
    from tests.study.run import main

    main()
