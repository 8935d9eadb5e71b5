"""Clause tree: legal packs, their clauses with dates and state, and the claims behind each, down to the number."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from audit.run import Run
from dashboard import parts, state
from dashboard.compliance import held
from dashboard.places import claim_place
from dashboard.review import CLAIM, link, turn
from dashboard.text import escape

__all__ = ["clause_tree"]

_STATES = {"evidence present": ("●", "blue"), "input missing": ("○", "orange"), "not applicable": ("–", "gray")}
"""Sign and colour of a clause's state; blue and not green, since whether evidence is enough is not said."""

_MEANING = (
    "“Evidence present” means that this run holds something for everything that the pack asks for under a clause; "
    "“input missing” lists what it does not hold; “not applicable” means that it holds nothing that the clause is "
    "about. Whether evidence is enough, and whether a text applies at all, is for a person to judge."
)


def clause_tree(run: Run) -> None:
    """Every pack in figures, then the chosen one clause by clause."""
    day = datetime.now(UTC).date()
    packs = held.packs(run, day)
    st.header("Legal packs")
    st.caption(_MEANING)
    rows = [{"pack": pack["title"], **pack["counts"], "confirmed": _confirmed(pack)} for pack in packs.values()]
    config: dict[str, Any] = {
        name: st.column_config.NumberColumn(f"{sign} {name}", width=140) for name, (sign, _) in _STATES.items()
    }
    config |= {"pack": st.column_config.TextColumn("Pack", width=440)}
    parts.data_table(run, pd.DataFrame(rows), "legal-packs", config=config)
    name = state.choose("Legal pack", "pack", list(packs), show=lambda one: str(packs[one]["title"]))
    pack = packs[name]
    st.header(escape(pack["title"]))
    _about(pack, day.isoformat())
    opened = state.carry("clause")
    for clause in pack["clauses"]:
        _clause(run, name, clause, opened=clause["id"] == opened)


def _confirmed(pack: dict[str, Any]) -> str:
    said = pack["confirmed"]
    return "by nobody" if said is None else f"by {said['by']}, {said['date']}"


def _about(pack: dict[str, Any], day: str) -> None:
    """Source, version and whether anybody confirmed the pack."""
    confirmed = str(pack["confirmation"])
    (st.warning if pack["confirmed"] is None else st.info)(
        escape(f"{confirmed[:1].upper()}{confirmed[1:]}. Dates and clauses are as the pack has them."),
        icon=":material/gavel:",
    )
    sources = "; ".join(f"{source['title']}, {source['url']}" for source in pack["source"])
    lines = [f"{pack['jurisdiction']}. Version of {pack['version']}, read on {day}. Source: {sources}.", *pack["notes"]]
    for line in lines:
        st.caption(escape(line))


def _clause(run: Run, pack: str, clause: dict[str, Any], *, opened: bool) -> None:
    sign, colour = _STATES[clause["status"]]
    label = f"**{escape(clause['id'])}** {escape(clause['title'])} :{colour}-badge[{sign} {clause['status']}]"
    key = f"clause_{pack}_{clause['id']}"
    if opened:
        st.session_state[key] = True
    with st.expander(label, key=key, on_change=_moved, args=(key, clause["id"])) as box:
        if not box.open:
            return
        st.caption(escape(f"{clause['force'][:1].upper()}{clause['force'][1:]}."))
        if clause["note"]:
            st.caption(escape(f"Not covered: {clause['note']}"))
        if clause.get("reason"):
            st.text(f"Not applicable: {clause['reason']}.")
        for line in clause["missing"]:
            if not line.startswith("statement "):
                st.text(f"○ Missing: {line}")
        _statements(clause)
        _evidence(run, clause)


def _moved(key: str, clause: str) -> None:
    state.put("clause", clause if st.session_state.get(key) else "")


def _statements(clause: dict[str, Any]) -> None:
    for item in clause["statements"]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if item["given"]:
                st.text(f"● {item['question']} Said by {item['author']} on {item['time'][:10]}, entry {item['entry']}.")
            else:
                st.text(f"○ Missing: {item['question']}", width="content")
            words = "Say it again" if item["given"] else "Say it"
            turn(words, "compliance", "statements", beside=clause["id"], about=item["id"], kind="statement")


def _evidence(run: Run, clause: dict[str, Any]) -> None:
    files = [name for item in clause["evidence"] for name in item.get("files", [])]
    if files:
        st.text(f"● Files of the bundle: {', '.join(dict.fromkeys(files))}")
    named = [claim for item in clause["evidence"] for claim in item.get("claims", [])]
    if not named:
        return
    counted = [
        f"{item['total']} claims {item['need']}"
        + (f", and {item['without_value']} without a number" if item["without_value"] else "")
        for item in clause["evidence"]
        if item.get("claims")
    ]
    st.text("● " + "; ".join(counted))
    st.caption("The first 20 of each kind; `results.json` in the bundle names all.")
    frame = held.resolve(run, named)
    parts.data_table(
        run, frame, f"claims-{clause['id']}", config={"claim": st.column_config.TextColumn("Claim", width=420)}
    )
    claim = str(st.selectbox("A claim, to see where it is shown", named, key=f"claim_of_{clause['id']}"))
    place = claim_place(run, claim)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if place is not None:
            link(run, place, ":material/arrow_forward:", **{CLAIM: claim})
        turn("Statement or note on it", "compliance", "statements", beside=clause["id"], about=claim, claim=claim)
