"""What explanations cost, as ratios against the passes that they need at least, and against captum and tf-explain.

``PYTHONPATH=. python -P -m tests.benchmarks.bench_explanations``. Each network and method runs in a process of its own;
contestants take turns, so that whatever else the machine does falls on all of them. The bound is bare framework code
that makes as many passes on arrays in memory, in full batches. Rivals, each in its fastest setting, make other numbers
of passes, so they are compared by the pass; ours counts only the passes that it needs, not those that it makes.
captum's maps are held against ours first; tf-explain computes something else (`docs/explanations.md`). Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from audit.explanations import Batch, build
from audit.models.adapter import predicted
from tests.benchmarks.rounds import Contestant, fastest, in_process, machine, median, peak_gigabytes, rounds
from tests.benchmarks.settings import COPIES, METHODS, NETWORKS, goes_back, noise

MODULE = "tests.benchmarks.bench_explanations"
AS_CAPTUM = {"integrated_gradients": {"max_steps": COPIES}, "occlusion": {"fill": "zero"}}


def main() -> None:
    """Measure every network and method, or those named, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="rounds; medians are taken over them")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--network", choices=NETWORKS, nargs="+", default=list(NETWORKS))
    parser.add_argument("--method", choices=METHODS, nargs="+", default=METHODS)
    parser.add_argument("--no-memory", action="store_true", help="leave the peak memory out")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("--cost", type=float, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        contest = Contest(options.network[0], options.method[0], options.threads)
        found = contest.timed(options.repeats) if options.inside == "time" else contest.peak(options)
        print(json.dumps(found))
        return
    print(machine())
    for network in options.network:
        for method in options.method:
            arguments = [f"--network={network}", f"--method={method}", f"--threads={options.threads}"]
            found = in_process(MODULE, [*arguments, "--inside=time", f"--repeats={options.repeats}"])
            for line in _table(f"{network} {method}", found):
                print(line, flush=True)
            if not options.no_memory:
                print(_memory(found, arguments), flush=True)
    print(machine())


class Contest:
    """One method on one network: ours, the bare passes and the rival of the framework.

    Parameters
    ----------
    network : str
        Of `NETWORKS`.
    method : str
        Of `METHODS`.
    threads : int
    """

    def __init__(self, network: str, method: str, threads: int) -> None:
        if NETWORKS[network].framework == "torch":
            from tests.benchmarks import torch_contests as framework  # one framework a process
        else:
            from tests.benchmarks import keras_contests as framework
        self.framework: Any = framework
        self.network = network
        self.method = method
        self.settings = {"max_steps": NETWORKS[network].most} if method == "integrated_gradients" else {}
        self.model, self.adapter = framework.network(network, threads)
        self.images = noise(NETWORKS[network].images[method], NETWORKS[network].size)

    def ours(self) -> tuple[Contestant, dict[str, float]]:
        """Our method, the shared pass made beforehand, and what it says of its work.

        The cost is the least that the maps take; ``used`` is what was really used, over that.
        """
        explainer = build([{"name": self.method, **self.settings}])[self.method]
        batch = Batch.of(self.adapter, self.images, "predicted")
        before = self.adapter.used
        maps = explainer.explain(batch)
        least = maps.least or len(self.images) * explainer.least(self.adapter.spec)
        told = {"used": (self.adapter.used - before) / least}
        told |= {name: float(np.mean(values)) for name, values in maps.measures.items()}
        return Contestant("ours", lambda: explainer.explain(batch), least), told

    def bounds(self, cost: float) -> list[Contestant]:
        """The bare passes of that cost."""
        back = goes_back(self.method)
        found: list[Contestant] = self.framework.bounds(self.model, self.network, int(cost / (2 if back else 1)), back)
        return found

    def rivals(self) -> dict[str, Contestant]:
        """The rival by setting."""
        targets = predicted(self.adapter.spec, self.adapter.scores(self.images))
        found: dict[str, Contestant] = self.framework.rivals(self.method, self.model, self.images, targets)
        return found

    def timed(self, repeats: int) -> dict[str, Any]:
        """Seconds of all contestants, taking turns."""
        mine, told = self.ours()
        contestants = [mine, *self.bounds(mine.cost)]
        rivals = self.rivals()
        setting = ""
        if rivals:
            self._compare(next(iter(rivals.values())))
            setting = fastest(rivals)
            contestants.append(rivals[setting])
        return {"seconds": rounds(contestants, repeats), "told": told, "setting": setting}

    def peak(self, options: argparse.Namespace) -> tuple[float, float]:
        """Largest resident memory of this process with the network loaded, and once one contestant has run."""
        before = peak_gigabytes()
        if options.inside == "ours":
            self.ours()
        elif options.inside == "bound":
            self.bounds(options.cost)[0].run()
        else:
            self.rivals()[options.inside].run()
        return before, peak_gigabytes()

    def _compare(self, rival: Contestant) -> None:
        """A rival that computes something else is no rival."""
        if not rival.name.startswith("captum") or self.method not in AS_CAPTUM:
            return
        explainer = build([{"name": self.method, **AS_CAPTUM[self.method]}])[self.method]
        mine = explainer.explain(Batch.of(self.adapter, self.images, "predicted")).raw
        agreement = np.corrcoef(mine.ravel(), np.ravel(rival.run()))[0, 1]
        if not agreement >= 0.99:
            raise SystemExit(f"{rival.name}: maps correlate at {agreement:.4f} only")


def _table(title: str, found: dict[str, Any]) -> Iterator[str]:
    seconds = found["seconds"]
    mine = seconds["ours"]
    said = ", ".join(f"{name} {value:.3g}" for name, value in found["told"].items())
    yield f"{title}: {median(mine):.3f} s for {mine['cost']:.0f} F, {_each(mine):.2f} ms each; {said}"
    for name, values in seconds.items():
        if name == "ours":
            continue
        if name.startswith("bound"):
            ratio, target = median(mine) / median(values), "ours over it, at most 1.2"
        else:
            name += f" ({found['setting']})"
            ratio = _each(values) / _each(mine)
            target = f"it over ours by the pass, at least {1.7 if 'OcclusionSensitivity' in name else 1}"
        yield f"    {name}: {median(values):.3f} s for {values['cost']:.0f} F, ratio {ratio:.2f} ({target})"


def _each(values: dict[str, Any]) -> float:
    """Milliseconds a forward-equivalent."""
    return 1000 * median(values) / float(values["cost"])


def _memory(found: dict[str, Any], arguments: list[str]) -> str:
    cost = found["seconds"]["ours"]["cost"]
    shown = {"ours": "ours", "bound": "bound"} | ({found["setting"]: "rival"} if found["setting"] else {})
    peaks = {name: in_process(MODULE, [*arguments, f"--inside={key}", f"--cost={cost}"]) for key, name in shown.items()}
    said = ", ".join(f"{name} {peak:.2f} GB" for name, (_, peak) in peaks.items())
    return f"    peak memory: {said}; {peaks['ours'][0]:.2f} GB with the network loaded"


if __name__ == "__main__":
    main()
