"""Script: group-balanced training against plain training with the same seed, both audited in one run, paired by image.

Not a test: the trainings take minutes. The configs are those in docs/examples/before-after; what came out is in
docs/before-after.md. One framework a call, as the two never share a process.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

sys.path.append(str(Path(__file__).resolve().parents[2]))

from audit.config import AuditConfig, TrainConfig, parse_config
from audit.data.synthetic import demo_specs, draw, write
from audit.fairness import paired_table
from audit.pipeline import run_audit
from audit.preflight import preflight
from audit.run import Run
from audit.run.files import write_text
from audit.training.recipe import train
from reports.comparison import compare_runs, write_comparison

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "before-after"
KINDS = ("unbalanced", "balanced")
FOLDS = ("0", "1", "2", "3", "4")


def example(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
    return content


def train_one(content: dict[str, Any], base: Path, out: Path) -> dict[str, Any]:
    """Train, unless that is done, and return the entry for an audit."""
    if not out.exists():
        result = train(parse_config(TrainConfig, content, where=str(content["name"])), base, out)
        last = result.fit.history[-1]
        print(f"trained {content['name']}: {last.accuracy:.3f} on training images", flush=True)
    (entry,) = yaml.safe_load((out / "model.yaml").read_text(encoding="utf-8"))
    return dict(entry)


def audit(content: dict[str, Any], models: list[dict[str, Any]], base: Path, out: Path) -> Run:
    """Both models in one run."""
    return run_audit(
        preflight(parse_config(AuditConfig, {**content, "models": models}, where="the audit"), base), out, resume=True
    )


def planted(options: argparse.Namespace) -> None:
    """The built-in set with the planted bias; balanced by tone."""
    out: Path = options.out
    if not (out / "data").exists():
        specs = demo_specs()
        sets = {"train-biased": specs.biased_train, "validation": specs.validation, "test": specs.test}
        write({name: draw(spec) for name, spec in sets.items()}, out / "data")
    pairs = []
    for seed in options.seeds:
        models = []
        for kind in KINDS:
            content = example(f"planted-{kind}") | {"framework": options.framework, "seed": seed}
            content = change(content, options) | {"name": f"{kind}-{options.framework}-{seed}"}
            models.append(train_one(content, out, out / "models" / content["name"]))
        run = audit(example("planted-audit"), models, out, out / "runs" / f"{options.framework}-{seed}")
        pairs += compare_runs([run], (models[0]["name"], models[1]["name"]))
    for pair in pairs:
        show(pair.table, pair.title, ("tone", "marker"))
    write_comparison(pairs, out / f"before-after-{options.framework}.html")
    write_comparison(pairs, out / f"before-after-{options.framework}.csv", "csv")


def london(options: argparse.Namespace) -> None:
    """The London faces: five folds by person, each audited by models that saw the other four; then put together."""
    images, predictions, clean = [], [], {}
    for fold in FOLDS:
        models = []
        for kind in KINDS:
            content = change(example(f"london-{kind}"), options)
            content |= {"name": f"{kind}-{fold}", "framework": options.framework, "seed": options.seeds[0]}
            content["balance"] = options.balance if kind == "balanced" else None
            content["data"]["split"]["keep"] = [other for other in FOLDS if other != fold]
            content["validation"] = {"keep": [fold]}
            where = options.out / "models" / f"{options.framework}-{options.balance}-{kind}-{fold}"
            if kind == "unbalanced":
                where = options.out / "models" / f"{options.framework}-{kind}-{fold}"
            models.append(train_one(content, options.data, where))
        content = example("london-audit")
        content["data"]["split"] = {"column": "fold", "keep": [fold]}
        run = audit(
            content, models, options.data, options.out / "runs" / f"{options.framework}-{options.balance}-{fold}"
        )
        images.append(run.table("images"))
        predictions.append(run.table("predictions"))
        clean |= {f"{kind}-{fold}": kind for kind in KINDS}
    together = pd.concat(predictions, ignore_index=True)
    together["model"] = together["model"].map(clean)
    names = ["gender", "ethnicity", "age_band"]
    frames = (pd.concat(images, ignore_index=True), together, together)
    table = paired_table(*frames, *KINDS, names, ["neutral", "smiling"], "smiling", seed=options.seeds[0])
    show(table, f"London, balanced by {options.balance}, {options.framework}", tuple(names))
    csv = options.out / f"before-after-{options.framework}-{options.balance}.csv"
    write_text(csv, str(table.to_csv(index=False)))


def change(content: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Apply what the command line changes in both recipes alike."""
    changes = {"epochs": options.epochs, "threads": options.threads}
    if options.no_augmentation:
        content = {key: value for key, value in content.items() if key != "augmentation"}
    return content | {key: value for key, value in changes.items() if value is not None}


def show(table: pd.DataFrame, title: str, attributes: tuple[str, ...]) -> None:
    """Print the rows of accuracy (and of the classes' rates for the gap) as a Markdown table."""
    print(
        f"\n{title}\n\n| group | n | before | after | change (95 % interval) | p, adjusted |\n|---|---|---|---|---|---|"
    )
    kept = table[table["attribute"].isin(("overall", *attributes)) & (table["metric"] != "left_out")]
    kept = kept[(kept["metric"] == "accuracy") | (kept["group"] == "(range)")]
    for row in kept.to_dict("records"):
        name = "everybody" if row["attribute"] == "overall" else f"{row['attribute']} {row['group']}"
        name += "" if row["metric"] == "accuracy" else f", {row['metric'].replace('_', ' ')}"
        if pd.isna(row["difference"]):
            print(f"| {name} | {row['n']} | {row['status']} | | | |")
            continue
        p = "< .001" if row["p_adjusted"] < 0.001 else f"{row['p_adjusted']:.3f}".lstrip("0")
        span = "" if pd.isna(row["low"]) else f" ({row['low']:+.3f} to {row['high']:+.3f})"
        values = f"{row['first_value']:.3f} | {row['second_value']:.3f} | {row['difference']:+.3f}{span}"
        print(f"| {name} | {row['n']} | {values} | {p} |", flush=True)


def main() -> None:
    """Run one of the two sets in one framework."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", choices=("planted", "london"))
    parser.add_argument("--framework", choices=("torch", "keras"), default="torch")
    parser.add_argument("--out", type=Path, required=True, help="folder for models and runs; what is done stays")
    parser.add_argument("--data", type=Path, help="folder with london.csv")
    parser.add_argument("--balance", default="gender", help="London: attribute to balance by")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2026])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--no-augmentation", action="store_true", help="in both recipes; take another --out")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.set == "london" and options.data is None:
        parser.error("--data is needed for the London set")
    options.out.mkdir(parents=True, exist_ok=True)
    options.out = options.out.resolve()
    (planted if options.set == "planted" else london)(options)


if __name__ == "__main__":
    main()
