"""The tables of the auditor level: every row, under names that nobody without the secret can trace back.

Groups, labels and predictions stay as they are, and so does the order of the rows and of the clusters' names: what is
counted from them stays the same. Whoever knows a person's combination of groups, the order of the images, or every
cluster's name, may still recognise a row.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

import pandas as pd

from audit.errors import InputError
from audit.run import Run
from audit.run.schema import TABLES

__all__ = ["AUDITOR_WITHHELD", "auditor_tables", "pseudonyms"]

_LENGTH = 16
_BLANKED = {
    "images": ("path", "sha256"),
    "problems": ("path", "detail"),
    "crosschecks": ("note",),
    "quality": ("detail",),
    "interventions": ("detail",),
}
_LEFT_OUT = ("embeddings",)

AUDITOR_WITHHELD = (
    "the images, their file names and their hashes; thumbnails, maps and embeddings",
    "image ids and clusters: pseudonyms stand for them, the same in every table",
    "free-text details of problems, cross-checks, measures and interventions",
    "plan.json, and the configuration's paths, columns and settings of execution",
)


def pseudonyms(names: Iterable[str], kind: str, secret: bytes) -> dict[str, str]:
    """Short names in place of others: the first 64 bits of an HMAC with SHA-256 (RFC 2104).

    Parameters
    ----------
    names : iterable of str
    kind : str
        What is named, so that an image and a cluster of the same name get different ones.
    secret : bytes
        Without it a name cannot be tried out.

    Raises
    ------
    InputError
        The secret is empty, or two names get the same pseudonym.
    """
    if not secret:
        raise InputError("the secret of the pseudonyms is empty, allowed: any other bytes")
    found = {
        name: hmac.new(secret, f"{kind}\0{name}".encode(), hashlib.sha256).hexdigest()[:_LENGTH]
        for name in dict.fromkeys(names)
    }
    if len(set(found.values())) < len(found):
        raise InputError(f"two names of kind '{kind}' get the same pseudonym", fix="use another secret")
    return found


def auditor_tables(run: Run, secret: bytes) -> dict[str, pd.DataFrame]:
    """Every table of a run but the embeddings, rows in their order, ids and clusters replaced.

    Pseudonyms of clusters begin with the place of the name in alphabetical order: draws of the tests and of joint
    intervals go through the clusters in that order, and would else be others than those of the run.

    Parameters
    ----------
    run : Run
    secret : bytes
        As for `pseudonyms`.
    """
    tables = {name: run.table(name) for name in TABLES if name not in _LEFT_OUT and run.has(name)}
    for column, kind in (("image_id", "image"), ("cluster", "cluster")):
        holders = [frame for frame in tables.values() if column in frame]
        named = pseudonyms((str(name) for frame in holders for name in frame[column].dropna()), kind, secret)
        if kind == "cluster":
            named = {name: f"{place:06d}-{named[name]}" for place, name in enumerate(sorted(named))}
        for frame in holders:
            frame[column] = [None if pd.isna(name) else named[str(name)] for name in frame[column]]
    for table, columns in _BLANKED.items():
        for column in columns:
            if table in tables:
                tables[table][column] = None
    return tables
