"""Which shards are committed, with the SHA-256 of each file: a line is added once a shard's file is in its place.

A shard without a line, or whose file is no longer what its line says, counts as not computed. The file is in the
format of ``sha256sum``, so that anybody can check it with ``sha256sum --check SHA256SUMS``.
"""

from __future__ import annotations

import os
from pathlib import Path

from audit.run.files import sha256_file, write_text

__all__ = ["add_line", "journal_path", "read_journal", "write_journal"]


def journal_path(run: Path) -> Path:
    """Path of the journal of a run folder."""
    return run / "shards" / "SHA256SUMS"


def add_line(run: Path, shard: Path) -> None:
    """Note a committed shard's file; a line that a crash cuts short is one that is not there."""
    line = _line(run, shard)
    with journal_path(run).open("ab") as stream:
        stream.write(line.encode() if _ends_well(run) else b"\n" + line.encode())
        stream.flush()
        os.fsync(stream.fileno())


def read_journal(run: Path) -> dict[str, str]:
    """SHA-256 by file, named from the folder of the shards, such as ``plain/predict-00000.parquet``."""
    try:
        lines = journal_path(run).read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    whole = [line.decode(errors="replace").split("  ", 1) for line in lines[:-1]]
    return {parts[1]: parts[0] for parts in whole if len(parts) == 2}


def write_journal(run: Path) -> None:
    """Note every shard's file anew, as it is now."""
    files = sorted((run / "shards").glob("*/[!.]*.parquet"))
    write_text(journal_path(run), "".join(_line(run, file) for file in files))


def _line(run: Path, shard: Path) -> str:
    return f"{sha256_file(shard)}  {shard.relative_to(run / 'shards').as_posix()}\n"


def _ends_well(run: Path) -> bool:
    """Whether the journal is empty or its last line whole."""
    with journal_path(run).open("rb") as stream:
        if stream.seek(0, os.SEEK_END) == 0:
            return True
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"
