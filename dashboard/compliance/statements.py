"""What only a person can say: what is missing, a form to say it, and the log with the state of its chain."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import streamlit as st

from audit.errors import FaircamError
from audit.run import Run
from audit.run.statements import (
    FURTHER_STATEMENTS,
    LOG,
    REQUIRED_STATEMENTS,
    Statement,
    add_statement,
    missing_statements,
)
from dashboard import data, login, parts, state
from dashboard.compliance import held
from dashboard.review import CLAIM, turn
from dashboard.text import escape
from reports.bundle.packs import known_packs, load_pack
from reports.format import clean

__all__ = ["statement_form", "statement_log", "statements_missing"]

_KINDS = {
    "statement": "Counts as the answer; of several on one topic, the latest.",
    "note": "A remark; it stands for no required statement.",
    "waiver": "The finding may stand until a day, for a reason. A bundle then says “waived”; no number changes.",
}
_DAYS = 90
_MOST_SIGNS = 10_000
_FORM_WIDTH = 760
_WIDE = {"about": 260, "text": 400}
_LAST, _COUNT, _SPEAKER = "_faircam_said", "_faircam_said_count", "_faircam_speaker"


def statement_form(run: Run) -> None:
    """Form to add an entry; what is wrong with it is said beside it, and what was typed stays."""
    st.header("Say it")
    if run.record.get("disclosure") is not None:
        st.info("This is a bundle, which is sealed: add to the run that it was made from, then make it again.")
        return
    questions = _questions()
    claim = state.carry(CLAIM)
    about = state.choose(
        "About", "about", [*([claim] if claim else []), *questions], default=claim, show=lambda name: _title(run, name)
    )
    kinds = [kind for kind in _KINDS if kind != "waiver" or about.startswith("findings:")]
    kind = state.tabs("Kind", "kind", kinds, show=str.capitalize)
    st.caption(_KINDS[kind])
    if about in questions:
        st.text(questions[about])
    with st.form("say", enter_to_submit=False, width=_FORM_WIDTH):
        author, role = _speaker()
        text = _text(about, kind)
        expires = _expires() if kind == "waiver" else None
        st.caption("It is added to the run’s log with author and time. Nothing is ever replaced or deleted.")
        pressed = st.form_submit_button("Add to the log", icon=":material/add:")
    if pressed:
        _add(run, kind=kind, about=about, author=author, role=role, text=text, expires=expires)
    said = st.session_state.get(_LAST)
    if said is not None and said[0] == str(run.path) and said[1].about == about:
        st.success(escape(f"Added as entry {said[1].id}, {said[1].time}, by {said[1].author}."))


def _questions() -> dict[str, str]:
    packs: dict[str, str] = {}
    for name in known_packs():
        packs |= load_pack(name).questions
    return {**REQUIRED_STATEMENTS, **FURTHER_STATEMENTS, **packs}


def _title(run: Run, about: str) -> str:
    if ":" in about:
        return clean(about)
    entries, _ = held.statements(run)
    missing = about in missing_statements(entries, (about,))
    asked = "required, " if about in REQUIRED_STATEMENTS else ""
    return f"{about.replace('_', ' ').capitalize()} ({asked}{'missing' if missing else 'said'})"


def _speaker() -> tuple[str, str]:
    """Author and role: the login on a shared deployment, else whoever types their name; kept for the session."""
    author, role = st.session_state.get(_SPEAKER, ("", ""))
    if login.is_shared():
        author = login.visitor() or ""
        st.text_input("Author", value=author, disabled=True, key="say_login", help="Taken from your login.")
    else:
        help_text = "Who says it. Nobody checks a name on this machine."
        author = st.text_input("Author", value=author, key="say_author", help=help_text)
    role = st.text_input("Role", value=role, key="say_role", help="As what you say it, such as product owner.")
    st.session_state[_SPEAKER] = (author, role)
    return author, role


def _text(about: str, kind: str) -> str:
    """What is said; kept while it cannot be added, empty once it was."""
    key = f"say_text_{about}_{kind}_{st.session_state.get(_COUNT, 0)}"
    label = "Reason" if kind == "waiver" else "Text"
    return st.text_area(label, key=key, height=140, max_chars=_MOST_SIGNS) or ""


def _expires() -> date | None:
    today = datetime.now(UTC).date()
    chosen: date | None = st.date_input(
        "Last day", value=today + timedelta(days=_DAYS), min_value=today, format="YYYY-MM-DD", key="say_expires"
    )
    return chosen


def _add(run: Run, *, kind: str, about: str, author: str, role: str, text: str, expires: date | None) -> None:
    st.session_state.pop(_LAST, None)
    empty = [name for name, said in (("author", author), ("role", role), ("text", text)) if not said.strip()]
    if empty:
        st.error(f"Nothing was added: {', '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty.")
        return
    try:
        made = add_statement(
            run, kind=kind, about=about, author=author, role=role, text=text, expires=expires, further=_questions()
        )
    except FaircamError as error:
        st.error(escape(str(error)))
        return
    st.session_state[_LAST] = (str(run.path), made)
    st.session_state[_COUNT] = st.session_state.get(_COUNT, 0) + 1
    st.rerun()


def statements_missing(run: Run) -> None:
    """Required statements that nobody has made, with their questions."""
    entries, _ = held.statements(run)
    missing = missing_statements(entries)
    st.header("Still missing" if missing else "Nothing required is missing")
    if not missing:
        st.text(f"All {len(REQUIRED_STATEMENTS)} required statements were made; packs may ask for more.")
        return
    st.caption("A bundle without them is made all the same, and lists them as missing.")
    for name in missing:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.text(f"○ {REQUIRED_STATEMENTS[name]}", width="content")
            turn("Say it", "compliance", "statements", about=name, kind="statement")


def statement_log(run: Run) -> None:
    """Every entry, the latest first, and whether the chain of the log holds."""
    st.header("Log")
    entries, broken = held.statements(run)
    problems = held.log_problems(run)
    if broken:
        st.error(escape(broken))
    elif problems:
        st.warning(escape("; ".join(problems) + ". The next entry drops what was never finished."))
    if not entries:
        if not broken:
            st.info("Nobody has said anything yet.")
        return
    st.text(
        f"✓ {len(entries)} entries, each chained to the one before; the last one’s SHA-256 is {entries[-1].sha256}. "
        "Entries cut off at the end would only show against a copy or a signature."
    )
    frame = pd.DataFrame([_row(entry) for entry in reversed(entries)])
    config = {name: st.column_config.TextColumn(name.capitalize(), width=size) for name, size in _WIDE.items()}
    parts.data_table(run, frame, LOG.removesuffix(".jsonl"), config=config)
    for entry in [entry for entry in reversed(entries) if entry.kind == "waiver"]:
        _waiver(run, entry)


def _row(entry: Statement) -> dict[str, object]:
    names = ("id", "kind", "about", "text", "author", "role", "time", "expires", "sha256")
    return {name: getattr(entry, name) for name in names}


def _waiver(run: Run, entry: Statement) -> None:
    """Whether a waiver is in force today and what it stands for."""
    over = entry.expires is not None and entry.expires < datetime.now(UTC).date().isoformat()
    state_words = f"expired on {entry.expires}: the rule counts again" if over else f"in force until {entry.expires}"
    found = data.table(run, "findings", ("rule", "model", "verdict"))
    parts_of = entry.about.split(":")
    kept = found[(found["model"] == parts_of[1]) & (found["rule"] == parts_of[-1])]["verdict"]
    verdict = f" Without it the verdict is {kept.iloc[0]}." if len(kept) else ""
    st.caption(escape(f"Waiver {entry.id} on {entry.about}: {state_words}.{verdict} A bundle counts it."))
