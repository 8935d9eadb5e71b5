"""A comparison of two models as a person reads it in a terminal: a line a stage, then what to make of it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit.explanations.parity.report import TITLES, ParityReport
from audit.explanations.parity.steps import STAGES, Stage, Step
from audit.terminal import output, plain, table

__all__ = ["print_parity"]

_MARKS = {"agree": ("✓", "green"), "differ": ("✗", "red"), "not_compared": ("?", "yellow"), "left_out": ("-", "cyan")}


def print_parity(report: ParityReport, *, every_step: bool = False, console: Console | None = None) -> None:
    """Print a comparison.

    Parameters
    ----------
    report : ParityReport
    every_step : bool
        A line a step instead of a line a stage.
    console : Console, optional
        Standard output by default, 120 columns wide where that is no terminal.
    """
    out = console or output()
    for place, subject in (("First: ", report.first), ("Second:", report.second)):
        layer = f", maps at {subject.layer}" if subject.layer else ""
        out.print(plain(f"{place} {subject.name} ({subject.framework}, {subject.dtype}, {subject.device}{layer})"))
    out.print(_every_step(report) if every_step else _stages(report))
    reasons = dict.fromkeys(
        f"{TITLES[step.stage]}: {step.note}"
        for step in report.steps
        if step.status == "not_compared" and not step.first
    )
    for reason in reasons:
        out.print(plain(f"Not compared, {reason}."))
    out.print(plain(report.sentence))


def _stages(report: ParityReport) -> Table:
    shown = table("stage", "compared", "differ", "largest difference", "allowed", "least rank correlation")
    for stage in STAGES:
        steps = [step for step in report.steps if step.stage == stage]
        apart = sum(step.status == "differ" for step in steps)
        alone = [step for step in steps if step.status == "not_compared"]
        compared = len(steps) - len(alone)
        counted = f"{compared} of {len(steps)}" if len(steps) > 1 or alone else "1"
        shown.add_row(
            _mark(_status(steps), TITLES[stage]),
            counted,
            str(apart) if compared else "-",
            *map(plain, _figures(steps, stage)),
        )
    return shown


def _figures(steps: list[Step], stage: Stage) -> tuple[str, str, str]:
    """Largest difference, what was allowed and the least rank correlation of a stage."""
    counted = [step for step in steps if step.status != "not_compared"]
    differences = [step.difference for step in counted if step.difference is not None]
    ranks = [step.spearman for step in counted if step.spearman is not None]
    allowed = sorted({f"{step.tolerance:.0e}" for step in counted if step.tolerance is not None})
    if ranks and stage in ("gradients", "maps"):
        allowed.append("by rank")
    largest = f"{max(differences):.1e}" if differences else "-"
    return largest, ", ".join(allowed) or "-", f"{min(ranks):.5f}" if ranks else "-"


def _every_step(report: ParityReport) -> Table:
    shown = table("step", "first", "second", "difference", "rank correlation", "note")
    for step in report.steps:
        difference = "-" if step.difference is None else f"{step.difference:.1e}"
        ranks = "-" if step.spearman is None else f"{step.spearman:.5f}"
        cells = (step.first or "-", step.second or "-", difference, ranks, step.note)
        shown.add_row(_mark(step.status, TITLES[step.stage]), *map(plain, cells))
    return shown


def _status(steps: list[Step]) -> str:
    found = {step.status for step in steps}
    return next(status for status in ("differ", "left_out", "agree", "not_compared") if status in found)


def _mark(status: str, text: str) -> Text:
    mark, colour = _MARKS[status]
    return plain(f"{mark} {text}", colour)
