"""A bundle as one `.zip` whose bytes depend on its content alone, and reading it back."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from audit.errors import InputError
from audit.run.files import commit

__all__ = ["opened", "write_zip"]

_DAY = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say: the time of writing would change its bytes
_MOST_BYTES = 20 * 2**30


def write_zip(folder: Path, out: Path) -> None:
    """Pack every file of a folder, sorted by name, without times or owners."""

    def write(partial: Path) -> None:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _DAY)
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())

    commit(out, write)


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """A bundle as a folder: itself, or an archive unpacked while the context is open.

    Raises
    ------
    InputError
        It is neither a folder nor a zip, or the archive holds a name that leads out of it or is too large.
    """
    if path.is_dir():
        yield path
        return
    if not zipfile.is_zipfile(path):
        raise InputError("is neither a folder nor a .zip", where=str(path), fix="name a run folder or a bundle")
    with TemporaryDirectory(prefix="faircam-") as place, zipfile.ZipFile(path) as archive:
        folder = Path(place).resolve()
        size = sum(entry.file_size for entry in archive.infolist())
        if size > _MOST_BYTES:
            raise InputError(f"unpacks to {size:,} bytes, allowed: {_MOST_BYTES:,}", where=str(path))
        for entry in archive.infolist():
            target = (folder / entry.filename).resolve()
            if not target.is_relative_to(folder) or stat.S_ISLNK(entry.external_attr >> 16):
                raise InputError(f"holds '{entry.filename}', which leads out of it", where=str(path))
        archive.extractall(folder)
        yield folder
