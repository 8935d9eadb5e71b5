"""A run as a notebook shows it: verdicts counted, findings in words, accuracy of every group. Everything is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from audit.run.record import Run

__all__ = ["run_html"]

_VERDICTS = {
    "fail": "✗ fail",
    "error": "✗ error",
    "inconclusive": "? inconclusive",
    "warn": "! warn",
    "pass": "✓ pass",
    "waived": "- waived",
}
_FINDINGS = 20
_GROUPS = 40
_LEFT = ' style="text-align:left"'
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def run_html(run: Run) -> str:
    """Summary of a run as a piece of HTML without script or style sheet.

    Parameters
    ----------
    run : Run

    Returns
    -------
    str
        Name and whether it is complete, number of findings by verdict, the findings, failing first, and accuracy with
        its interval for everybody and every group of an attribute, a column a model. Long tables are cut, and say so.
    """
    state = "" if run.complete else " <strong>INCOMPLETE: not every planned image was accounted for</strong>"
    parts = [f"<h4>{_text(run.name)}{state}</h4>", *_findings(run.table("findings")), *_accuracy(run)]
    return "\n".join(parts)


def _findings(findings: pd.DataFrame) -> Iterable[str]:
    if findings.empty:
        yield "<p>No findings: nothing was judged.</p>"
        return
    order = {verdict: place for place, verdict in enumerate(_VERDICTS)}
    counts = findings["verdict"].value_counts()
    said = [f"{counts[verdict]} {verdict}" for verdict in _VERDICTS if verdict in counts]
    registered = findings["preregistered"].fillna(value=False).astype(bool)
    kind = "preregistered" if registered.all() else "post hoc"
    yield f"<p>{len(findings)} findings ({kind}): {', '.join(said)}</p>"
    rows = findings.sort_values("verdict", key=lambda column: column.map(order), kind="stable").head(_FINDINGS)
    cells = [
        (_VERDICTS.get(verdict, verdict), model, text)
        for verdict, model, text in rows[["verdict", "model", "text"]].itertuples(index=False)
    ]
    yield _table(("verdict", "model", "finding"), cells)
    if len(findings) > _FINDINGS:
        yield f"<p>{_FINDINGS} of {len(findings)} are shown; all are in <code>run.table('findings')</code>.</p>"


def _accuracy(run: Run) -> Iterable[str]:
    """Accuracy by group; intersections are left to the report."""
    groups = run.table("groups")
    crossed = {" x ".join(names) for names in (run.record.get("data") or {}).get("intersections") or ()}
    rows = groups[(groups["metric"] == "accuracy") & ~groups["attribute"].isin(crossed)]
    if rows.empty:
        return
    named = rows.assign(cell=[_measured(row) for row in rows.to_dict("records")])
    places = list(dict.fromkeys(zip(rows["attribute"], rows["group"], strict=True)))
    found = named.set_index(["attribute", "group", "model"])["cell"].to_dict()
    models = list(dict.fromkeys(rows["model"]))
    cells = [(*place, *(found.get((*place, model), "not measured") for model in models)) for place in places]
    yield "<p>Accuracy [interval], number of images</p>"
    yield _table(("attribute", "group", *models), cells[:_GROUPS])
    if len(cells) > _GROUPS:
        yield f"<p>{_GROUPS} of {len(cells)} groups are shown; all are in <code>run.table('groups')</code>.</p>"


def _measured(row: dict[Any, Any]) -> str:
    if pd.isna(row["value"]):
        return str(row["status"]).replace("_", " ")
    interval = "" if pd.isna(row["low"]) else f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{row['value']:.3f}{interval}" + ("" if pd.isna(row["n"]) else f", n = {row['n']:,}")


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f'<th scope="col"{_LEFT}>{_text(name)}</th>' for name in heads)
    body = "\n".join(f"<tr>{''.join(f'<td{_LEFT}>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _text(value: Any) -> str:
    """A name or sentence that no browser acts on, without signs that turn a line around."""
    return html.escape(_FORBIDDEN.sub("\ufffd", str(value)))
