"""Manifests that are wrong, hostile or odd, each with the one outcome that it must have."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["Case", "cases"]

GOOD = "image,label,group\na.png,cat,x\nb.png,dog,y\n"


@dataclass(frozen=True)
class Case:
    """A manifest and what must become of it.

    Attributes
    ----------
    name : str
        File name.
    content : bytes
    says : str or None
        Part of the error; None where it is read.
    rows : int
        Images that it holds, where it is read.
    config : dict
        Changes to the `data` section.
    """

    name: str
    content: bytes
    says: str | None
    rows: int = 0
    config: dict[str, Any] = field(default_factory=dict)


def cases() -> list[Case]:
    """Every case; names are unique."""
    return [*_refused(), *_paths(), *_parquet(), *_odd()]


def _refused() -> list[Case]:
    texts: dict[str, tuple[str | bytes, str]] = {
        "empty.csv": ("", "is empty"),
        "blank-lines.csv": ("\n\n\n", "is empty"),
        "head-alone.csv": ("image,label,group\n", "holds no images"),
        "no-label.csv": ("image,group\na.png,x\n", "no column 'label'"),
        "misspelt.csv": ("image,labels,group\na.png,cat,x\n", "Did you mean 'labels'"),
        "no-group.csv": ("image,label\na.png,cat\n", "no column 'group'"),
        "empty-label.csv": ("image,label,group\na.png,,x\n", "row 2: the label is empty"),
        "empty-path.csv": ("image,label,group\n,cat,x\n", "row 2: column 'image' is empty"),
        "twice.csv": ("image,label,group\na.png,cat,x\na.png,dog,y\n", "names 'a.png' more than once"),
        "too-many-cells.csv": ("image,label,group\na.png,cat,x\nb.png,dog,y,z,z\n", "cannot be read as a table"),
        "every-row-too-long.csv": ("image,label,group\na.png,cat,x,1\nb.png,dog,y,2\n", "cannot be read as a table"),
        "open-quote.csv": ('image,label,group\n"a.png,cat,x\n', "cannot be read as a table"),
        "not-utf8.csv": (b"image,label,group\na.png,c\xff\xfet,x\n", "cannot be read as a table"),
        "utf-16.csv": (GOOD.encode("utf-16"), "cannot be read as a table"),
        "zeros.csv": (b"\0" * 2000, "holds no images"),
        "program.csv": (b"\x7fELF" + bytes(range(256)) * 8, "cannot be read as a table"),
        "page.csv": ("<html><body>404 Not Found</body></html>", "holds no images"),
        "spreadsheet.csv": (b"PK\x03\x04" + bytes(range(256)) * 4, "cannot be read as a table"),
        "two-heads.csv": ("image,image,label,group\na.png,b.png,cat,x\n", "more than one column 'image'"),
    }
    return [Case(name, text.encode() if isinstance(text, str) else text, says) for name, (text, says) in texts.items()]


def _paths() -> list[Case]:
    """Paths that lead out of the folder."""
    leaving = {
        "absolute": "/etc/passwd",
        "parent": "../a.png",
        "parent-inside": "x/../../a.png",
        "url": "https://example.com/a.png",
        "file-url": "file:///etc/passwd",
        "windows-parent": "..\\a.png",
        "zero-byte": "a\0.png",
    }
    return [
        Case(f"{name}.csv", f"image,label,group\n{path},cat,x\nb.png,dog,y\n".encode(), "leaves the folder")
        for name, path in leaving.items()
    ]


def _parquet() -> list[Case]:
    def stored(frame: pd.DataFrame) -> bytes:
        stream = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), stream)
        return stream.getvalue()

    good = pd.DataFrame({"image": ["a.png", "b.png"], "label": ["cat", "dog"], "group": ["x", "y"]})
    whole = stored(good)
    lists = good.assign(label=[["cat", "dog"], ["dog"]])
    numbers = good.assign(label=[0, 1], group=[1.0, np.nan])
    return [
        Case("good.parquet", whole, None, rows=2),
        Case("cut.parquet", whole[:-30], "cannot be read as a table"),
        Case("text.parquet", GOOD.encode(), "cannot be read as a table"),
        Case("empty.parquet", b"", "cannot be read as a table"),
        Case("lists.parquet", stored(lists), "the label is a list"),
        Case("numbers.parquet", stored(numbers), None, rows=2),
    ]


def _odd() -> list[Case]:
    """Odd, and read as they stand."""
    return [
        Case("good.csv", GOOD.encode(), None, rows=2),
        Case("bom.csv", b"\xef\xbb\xbf" + GOOD.encode(), None, rows=2),
        Case("windows.csv", GOOD.replace("\n", "\r\n").encode(), None, rows=2),
        Case("quoted.csv", b'image,label,group\n"a, b.png","c""at","x\ny"\n', None, rows=1),
        Case("script.csv", b"image,label,group\na.png,<script>alert(1)</script>,=1+1\n", None, rows=1),
        Case("words-that-mean-nothing.csv", b"image,label,group\na.png,NA,null\nb.png,nan,None\n", None, rows=2),
        Case("numbers-as-written.csv", b"image,label,group\na.png,007,1e5\n", None, rows=1),
        Case("spaces.csv", b"image,label,group\n a.png , cat , x \n", None, rows=1),
        Case("long.csv", f"image,label,group\na.png,{'c' * 100_000},x\n".encode(), None, rows=1),
        Case("turned.csv", "image,label,group\na.png,\u202etac,\u0645\n".encode(), None, rows=1),
    ]
