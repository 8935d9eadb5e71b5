"""What a zip archive says of its members, before anything opens it: `.keras`, `.npz` and PyTorch files are archives."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path, PurePosixPath

from audit.errors import ModelError

__all__ = ["MOST_EXPANDED", "check_archive"]

MOST_EXPANDED = 20
"""How many times its own size an archive may expand to, beyond 64 MiB: weights hardly shrink."""

_FREE = 2**26
_MOST_MEMBERS = 100_000


def check_archive(path: Path, original: Path, what: str) -> list[str]:
    """Names of the members, none of which leads out of the archive or is far larger than it.

    Parameters
    ----------
    path : Path
    original : Path
        For errors.
    what : str
        What it is to be, for errors.

    Raises
    ------
    ModelError
        It is no whole zip archive, or a member is not acceptable.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(
            f"is no {what}, or is cut short", where=str(original), fix="copy it or save it again"
        ) from error
    names = [member.filename for member in members]
    for member in members:
        kind = member.external_attr >> 16
        parts = PurePosixPath(member.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in member.filename or stat.S_ISLNK(kind):
            how = "is a link" if stat.S_ISLNK(kind) else "leads out of it"
            raise ModelError(
                f"has a member {member.filename[:200]!r} that {how}, allowed: files within the archive",
                where=str(original),
                fix="save the model again; no library writes such a member",
            )
    if len(set(names)) != len(names) or len(names) > _MOST_MEMBERS:
        raise ModelError("names a member twice, or has too many", where=str(original), fix="save the model again")
    total, most = sum(member.file_size for member in members), _FREE + MOST_EXPANDED * path.stat().st_size
    if total > most:
        raise ModelError(
            f"expands to {total:,} bytes, allowed: {most:,} (64 MiB and {MOST_EXPANDED} times its size)",
            where=str(original),
            fix="save the model again without compression",
        )
    return names
