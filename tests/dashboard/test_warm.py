"""What the first page loads stays little, and what the others need is loaded behind it."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import dashboard.app, dashboard.views.audits
heavy = {"scipy.stats", "scipy.optimize", "statsmodels.api", "statsmodels.stats.proportion", "matplotlib", "sklearn"}
print(*sorted(heavy & set(sys.modules)), sep=",")
import dashboard.warm
from dashboard.pages import PAGES
first, again = dashboard.warm.warm(), dashboard.warm.warm()
assert first is again
first.join()
print(*[page for page in PAGES if f"dashboard.views.{page}" not in sys.modules], sep=",")
print("scipy.stats" in sys.modules)
"""


def test_first_page_loads_little_and_the_rest_follows() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["", "", "True"]
