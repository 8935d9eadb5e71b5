"""The pages of the dashboard, in the order of its navigation. Importing it imports no page."""

from __future__ import annotations

__all__ = ["FIRST", "PAGES", "TRY_IT", "file_of"]

PAGES: dict[str, str] = {
    "audits": "Audits",
    "overview": "Overview",
    "fairness": "Fairness",
    "errors": "Errors",
    "explanations": "Explanations",
    "compare": "Compare",
    "robustness": "Robustness and data",
    "compliance": "Compliance",
    "provenance": "Provenance and export",
}
"""Title of every page by its name, which is its place in the address and its module in `dashboard.views`."""

TRY_IT: dict[str, str] = {"try_it": "Try it"}
"""The page that is only there where `faircam dashboard --try-it` asks for it."""

FIRST = "audits"
"""Page that an address without a name opens: the list of runs, which is about no single one."""


def file_of(page: str) -> str:
    """Script of a page, as Streamlit's links name it."""
    return f"views/{page}.py"
