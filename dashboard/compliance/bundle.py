"""The bundle made from the page: level, progress, file or folder, what was withheld, and whether it verifies."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import streamlit as st

from audit.errors import FaircamError, InputError
from audit.run import Run
from dashboard import data, login, state
from dashboard.compliance.work import work
from dashboard.text import escape, file_name
from reports.bundle.packs import known_packs, load_pack
from reports.bundle.request import LEVELS
from reports.format import count, plain

__all__ = ["make_bundle"]

_LEVELS = {
    "public": "For anybody: no image, no file name, no row; small cells suppressed with complements.",
    "auditor": "For an auditor under an agreement: every row under pseudonyms, no images, paths or embeddings.",
    "internal": "For the owner of model and data: everything but the maps, with thumbnails.",
}
_NONE = "(none)"
_MADE = "_faircam_bundle"
_STEPS, _CHECKS = 60, 9
"""Steps of making and of verifying, about: what the bar is drawn against."""
_MOST_DOWNLOAD = 500 * 2**20


@dataclass
class _Made:
    """A bundle that this session made.

    Attributes
    ----------
    run, level : str
        What it was made from, and at which level.
    path : Path
    withheld : list of str
    place : Path or None
        Folder of its own in which a file to be downloaded lies; goes away with the session.
    verified : dict or None
        As `dashboard.compliance.job` gives it.
    """

    run: str
    level: str
    path: Path
    withheld: list[str]
    place: Path | None
    verified: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.place is not None:
            weakref.finalize(self, shutil.rmtree, self.place, ignore_errors=True)


def make_bundle(run: Run) -> None:
    """Choose a level, make the bundle, take it along, verify it."""
    st.header("Bundle")
    st.text("The run at a disclosure level, with every document made from what that level keeps and nothing else.")
    level = state.tabs("Level", "level", list(LEVELS), default="auditor", show=lambda name: name.capitalize())
    st.text(_LEVELS[level])
    asked = _asked(run, level)
    name = file_name(run, run.models[0] if len(run.models) == 1 else "all-models", f"bundle-{level}")
    folder = _folder(run, name)
    st.caption(escape(f"Saved as {name}.zip" if folder is None else f"Written as a folder: {folder}"))
    if st.button("Make the bundle", key="make_bundle", icon=":material/inventory_2:"):
        _make(run, asked, name, folder)
    st.caption(
        "It is not signed: private keys do not belong on a page. `faircam bundle RUN --key KEY` signs. Leaving the "
        "page ends the making, and nothing is left behind."
    )
    made = st.session_state.get(_MADE)
    if made is not None and made.run == str(run.path):
        _show(made)


def _asked(run: Run, level: str) -> dict[str, Any]:
    """Request as `dashboard.compliance.job` reads it."""
    with st.expander("Packs, day, threshold, New York City’s tables", key="bundle_more"):
        packs = state.several("Legal packs", "packs", known_packs(), show=lambda name: load_pack(name).title)
        day = st.date_input(
            "Day of evaluation", format="YYYY-MM-DD", key="bundle_day", help="By it waivers expire.", required=True
        )
        threshold = 10
        if level == "public":
            help_text = "Groups of fewer images or clusters are suppressed, with the complements that it takes."
            threshold = state.number("Smallest cell shown", "cell", (2, 50), 10, unit="", help=help_text)
        names = [_NONE, *data.attributes(run)]
        first, second = st.columns(2)
        with first:
            sex = state.choose("Attribute that is sex (Local Law 144)", "sex", names, show=plain)
        with second:
            race = state.choose("Attribute that is race or ethnicity", "race", names, show=plain)
    return {
        "task": "bundle",
        "run": str(run.path),
        "level": level,
        "day": str(day or datetime.now(UTC).date()),
        "packs": packs,
        "threshold": threshold,
        "sex": None if sex == _NONE else sex,
        "race": None if race == _NONE else race,
    }


def _folder(run: Run, name: str) -> Path | None:
    """Folder to write on this machine; None for a file to download, the only way on a shared deployment."""
    if login.is_shared():
        return None
    ways = {"zip": "Download as .zip", "folder": "Folder on this machine"}
    if state.tabs("Where to", "bundle-as", list(ways), show=ways.__getitem__) == "zip":
        return None
    default = str(run.path.parent / "bundles" / name)
    return Path(st.text_input("Folder, which must not be there yet", value=default, key=f"bundle_folder_{name}"))


def _make(run: Run, asked: dict[str, Any], name: str, folder: Path | None) -> None:
    st.session_state.pop(_MADE, None)
    place = Path(mkdtemp(prefix="faircam-bundle-")) if folder is None else None
    made = _Made(str(run.path), asked["level"], folder or Path(place or "", f"{name}.zip"), [], place)
    try:
        _check_folder(run, made.path)
        with _working("Making the bundle", _STEPS) as step:
            made.withheld = work({**asked, "out": str(made.path)}, step)
    except FaircamError as error:
        st.error(escape(str(error)))
        return
    st.session_state[_MADE] = made


def _check_folder(run: Run, out: Path) -> None:
    if not out.is_absolute():
        raise InputError(f"folder '{out}' is not a whole path", fix="begin it with /")
    if out.resolve().is_relative_to(run.path.resolve()):
        raise InputError(f"folder '{out}' lies inside the run, which a bundle must not change", fix="name another")


@contextmanager
def _working(title: str, steps: int) -> Iterator[Callable[[str], None]]:
    """Bar, words and a button to stop while something is done; gives what is to be told each step."""
    place = st.empty()
    done = 0
    with place.container(border=True, key="working"):
        bar = st.progress(0.0, text=f"{title} …")
        st.button("Stop", key="stop_working", icon=":material/stop:", type="tertiary")

    def step(text: str) -> None:
        nonlocal done
        done += 1
        bar.progress(min(done / steps, 1.0), text=escape(f"{title}: {text}"))

    try:
        yield step
    finally:
        place.empty()


def _show(made: _Made) -> None:
    """A bundle that was made: file, what was withheld, and what verifying found."""
    with st.container(border=True, key="bundle_made"):
        size = sum(path.stat().st_size for path in _files(made.path))
        st.text(f"● Bundle at level {made.level}, not signed, {count(size / 1024)} KiB: {made.path.name}")
        if made.place is None:
            st.text(f"In {made.path.parent}")
        elif size > _MOST_DOWNLOAD:
            st.warning("It is too large to go through a browser: use `faircam bundle RUN --out FILE.zip` instead.")
        else:
            st.download_button(
                "Download the bundle",
                made.path.read_bytes,
                made.path.name,
                "application/zip",
                key="download_bundle",
                on_click="ignore",
                icon=":material/download:",
            )
        with st.expander(f"What was withheld: {len(made.withheld)}", key="bundle_withheld"):
            for line in made.withheld or ["nothing"]:
                st.text(line)
        pressed = st.button("Verify it", key="verify_bundle", icon=":material/fact_check:")
        if pressed:
            _verify(made)
        if made.verified is not None:
            _verified(made.verified)


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def _verify(made: _Made) -> None:
    made.verified = None
    try:
        with _working("Verifying", _CHECKS) as step:
            made.verified = work({"task": "verify", "path": str(made.path)}, step)
    except FaircamError as error:
        st.error(escape(str(error)))


def _verified(found: dict[str, Any]) -> None:
    """Every check, with what is wrong and what could not be seen."""
    if found["intact"]:
        st.success("Nothing was found that differs. What could not be seen is listed below.")
    else:
        st.error("MODIFIED, or not whole.")
    for check in found["checks"]:
        st.text(f"{'✗' if check['problems'] else '✓'} {check['name']}: {check['said']}")
        for problem in check["problems"]:
            st.text(f"    ✗ {problem}")
        for unseen in check["unseen"]:
            st.caption(escape(f"Not seen: {unseen}"))
