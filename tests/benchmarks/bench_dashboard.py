"""The dashboard on a run of a million drawn predictions: first page, every filter and page, many sessions, memory.

Chromium opens the first page with nothing loaded, then every page, every part of a page and the first filters on it. An
action takes from the click until Streamlit says that the script has ended and the browser has drawn two more frames.
Sessions beside each other are websockets that draw nothing (`dashboard_sessions`). Prints figures beside those of a run
of a thousand predictions; asserts nothing. Run it on a machine that does nothing else: the load is printed too.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import Any

from dashboard.pages import PAGES
from dashboard.server import Server
from tests.benchmarks.dashboard_run import Wide, cached_run
from tests.benchmarks.dashboard_sessions import Load, View, under_load
from tests.benchmarks.rounds import machine

ARGUMENTS = ["--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-sync"]
GRAPHICS = ["--enable-unsafe-swiftshader"]
MAIN = "[data-testid=stMain]"
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
PATIENCE = 120_000
FILTERS = 6
"""Filters that are moved on a part of a page, at most."""

WATCH = """() => {
  if (window.__runs) return;
  window.__runs = [];
  const app = document.querySelector('[data-testid=stApp]');
  const note = what => window.__runs.push([what, performance.now()]);
  new MutationObserver(() => {
    note(app.dataset.testScriptState);
    if (app.dataset.testScriptState === 'notRunning')
      requestAnimationFrame(() => requestAnimationFrame(() => note('drawn')));
  }).observe(app, {attributes: true, attributeFilter: ['data-test-script-state']});
}"""
MARK = "() => { window.__runs.length = 0; return performance.now(); }"
SETTLED = """() => {
  const last = window.__runs[window.__runs.length - 1];
  return last && last[0] === 'drawn' && performance.now() - last[1] > 250;
}"""
DRAWN = (
    """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"""
)


@dataclass
class Times:
    """Seconds of actions, by page and what was done, and the server's own seconds on a core.

    On a busy machine the second bounds what the first would be on a quiet one.
    """

    pid: int
    seconds: list[tuple[str, str, float, float]] = field(default_factory=list)

    def table(self) -> Iterator[str]:
        """Lines of a table, a page a line, and one over all."""
        heads = f"{'median':>9}{'p95':>9}{'slowest':>9}{'core median':>13}{'core p95':>10}"
        yield f"  {'page':<22}{'actions':>8}{heads}  slowest"
        pages = list(dict.fromkeys(item[0] for item in self.seconds))
        for page in [*pages, ""]:
            own = [item for item in self.seconds if item[0] == page or not page]
            values, cores = [item[2] for item in own], [item[3] for item in own]
            slowest = max(own, key=lambda item: item[2])
            words = f"{statistics.median(values):>9.2f}{quantile(values):>9.2f}{slowest[2]:>9.2f}"
            words += f"{statistics.median(cores):>13.2f}{quantile(cores):>10.2f}"
            yield f"  {page or 'all':<22}{len(own):>8}{words}  {slowest[1]}"


def quantile(values: list[float], share: float = 0.95) -> float:
    """A quantile, the larger of the two values beside it."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[200, 200_000], help="of each run; times five models")
    parser.add_argument("--cache", type=Path, default=Path("/tmp/faircam-benchmarks"))  # noqa: S108
    parser.add_argument("--clusters", action="store_true", help="three images in a row are of one cluster")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0, help="of many sessions")
    parser.add_argument("--pages", nargs="+", default=list(PAGES))
    parser.add_argument("--pictures", type=Path, help="folder for a picture of every part of every page")
    parser.add_argument("--every", action="store_true", help="print every action")
    options = parser.parse_args()
    for images in options.images:
        size = Wide(images=images, explained=min(500, images), clustered=options.clusters)
        run = cached_run(options.cache, size)
        measured(run.path, size, options)


def measured(path: Path, size: Wide, options: argparse.Namespace) -> None:
    """Measure one run in a server of its own, and print the figures."""
    print(f"{size.images * size.models:,} predictions, {size.width} attributes; {machine()}", flush=True)
    with Server(path.parent, free_port()) as server:
        server.wait_until_ready()
        started = resident(server.process.pid)
        times = Times(server.process.pid)
        first, second, core = in_browser(server.url, times, options)
        print(
            f"  first page of a fresh server {first:.2f} s, {core:.2f} s of them on the server's core; "
            f"of a second visitor {second:.2f} s"
        )
        for line in times.table():
            print(line)
        if options.every:
            for page, words, seconds, core in sorted(times.seconds, key=lambda item: -item[3]):
                print(f"    {seconds:6.2f} ({core:5.2f} on a core)  {page}: {words}")
        if options.sessions:
            spent = on_core(server.process.pid)
            taken = under_load(server.url, views(size, options.pages), Load(options.sessions, 10.0, options.seconds))
            print(
                f"  {options.sessions} sessions, an action each 10 s, websockets without a browser: {len(taken)} actions, "
                f"median {statistics.median(taken):.2f} s, p95 {quantile(taken):.2f} s, slowest {max(taken):.2f} s; "
                f"{(on_core(server.process.pid) - spent) / len(taken):.2f} s on the server's core each"
            )
        print(f"  server memory: {started:.2f} GB at the start, {peak(server.process.pid):.2f} GB at its peak")
        print(f"  load after: {machine()}", flush=True)


def views(size: Wide, pages: Sequence[str]) -> list[View]:
    """Views that sessions ask for: every page, and those with most filters by model, attribute, metric and part."""
    attributes, models = list(size.attributes), size.model_names
    found: list[View] = [(page, {"model": model}) for page in pages for model in models[:2]]
    metrics = ("accuracy", "balanced_accuracy", "true_positive_rate")
    found += [
        ("fairness", {"model": model, "attribute": name, "metric": metric, "view": view})
        for model in models
        for name in attributes[:6]
        for metric in metrics
        for view in ("groups", "confidence")
    ]
    found += [("fairness", {"model": model, "view": "map", "colour": f"attr_{attributes[1]}"}) for model in models]
    parts = ("images", "regions", "means", "interventions", "agreement", "stamps")
    return found + [("explanations", {"model": model, "part": part}) for model in models for part in parts]


def in_browser(url: str, times: Times, options: argparse.Namespace) -> tuple[float, float, float]:
    """Every page and filter.

    Returns
    -------
    tuple of float
        Seconds until the first page is there, for the first and for a second visitor, and on the server's core for the
        first.
    """
    from playwright.sync_api import sync_playwright

    path = which("chromium") or which("google-chrome")
    if path is None:
        raise SystemExit("no Chromium on PATH")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=[*ARGUMENTS, *GRAPHICS])
        spent = on_core(times.pid)
        first, _ = opened(browser, url)
        core = on_core(times.pid) - spent
        second, page = opened(browser, url)
        page.evaluate(WATCH)
        for name in options.pages:
            if name not in PAGES:
                continue
            link = page.locator("[data-testid=stSidebarNav]").get_by_role("link", name=PAGES[name], exact=True)
            act(page, times, name, "page", link.first.click)
            sweep(page, times, name, options)
        browser.close()
    return first, second, core


def opened(browser: Any, url: str) -> tuple[float, Any]:
    """Seconds until a browser without a cache shows the first page."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    started = time.perf_counter()
    page.goto(url)
    page.wait_for_selector(f"{MAIN} h1")
    page.wait_for_selector(IDLE)
    page.evaluate(DRAWN)
    return time.perf_counter() - started, page


def act(page: Any, times: Times, name: str, words: str, do: Callable[[], object]) -> bool:
    """Do one thing and wait until its run has ended and is drawn; False where it started none."""
    spent, begun = on_core(times.pid), page.evaluate(MARK)
    do()
    try:
        page.wait_for_function("() => window.__runs.length > 0", timeout=3_000)
    except Exception:  #  Playwright's own timeout: the widget asked for nothing
        return False
    page.wait_for_function(SETTLED)
    ended = page.evaluate("() => window.__runs[window.__runs.length - 1][1]")
    times.seconds.append((name, words, (ended - begun) / 1000, on_core(times.pid) - spent))
    return True


def sweep(page: Any, times: Times, name: str, options: argparse.Namespace) -> None:
    """Every part of a page, and the filters of each."""
    tabs = page.locator(f"{MAIN} [data-testid=stButtonGroup]").first.locator("button")
    words = tabs.all_inner_texts() if tabs.count() else [""]
    for place, part in enumerate(words):
        if place:
            act(page, times, name, f"part {part}", tabs.nth(place).click)
        shoot(page, options, f"{name}-{place}")
        filters(page, times, name, part)


def filters(page: Any, times: Times, name: str, part: str) -> None:
    """Move each filter of a part: another option of a select box, the next value of a slider."""
    boxes = page.locator(f"{MAIN} [data-testid=stSelectbox]:visible")
    for place in range(min(boxes.count(), FILTERS)):
        box = boxes.nth(place)
        words = f"{part} {box.locator('label').inner_text().splitlines()[0]}"
        box.locator("input, [role=combobox]").first.click()
        offered = page.get_by_role("option")
        chosen = offered.nth(min(1, offered.count() - 1)) if offered.count() else None
        if chosen is None or chosen.get_attribute("aria-selected") == "true":
            page.keyboard.press("Escape")
            continue
        act(page, times, name, words, chosen.click)
    handles = page.locator(f"{MAIN} [role=slider]:visible")
    for place in range(min(handles.count(), FILTERS)):
        handle = handles.nth(place)
        label = handle.get_attribute("aria-label") or f"slider {place + 1}"
        handle.focus()
        act(page, times, name, f"{part} {label}", lambda: page.keyboard.press("ArrowRight"))


def shoot(page: Any, options: argparse.Namespace, name: str) -> None:
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(options.pictures / f"{name}.png"))


def resident(pid: int, key: str = "VmRSS") -> float:
    """Memory of a process in GB (10^9 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024 / 1e9
    return float("nan")


def on_core(pid: int) -> float:
    """Seconds that a process has spent on processors so far."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def peak(pid: int) -> float:
    """Largest resident memory of a process so far, in GB."""
    return resident(pid, "VmHWM")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
