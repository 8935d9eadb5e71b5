"""Last sections: what the report does not show, how things were measured, and where everything comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from audit.fairness.metrics import METRICS
from audit.run import Run
from audit.run.claims import CLAIM_KEYS, claims_of
from reports.format import clean, count, known, metric_words, plain
from reports.language import phrase, say
from reports.nodes import Block, Bullets, Cell, Code, Column, KeyValues, Paragraph, Section, Table
from reports.sections.facts import MISSING, Facts
from reports.sections.tables import interval_name
from reports.sections.trust import trust
from reports.sections.work import work

__all__ = ["checking", "interval_words", "limits", "methods", "provenance"]

_SMALL = 10
_INTERVALS = {
    "clopper_pearson": phrase("exact interval of a proportion; its coverage is at least 95 %."),
    "clopper_pearson_effective": phrase(
        "the same of a mean of rates, at the sample size that would give its variance."
    ),
    "korn_graubard": phrase("exact interval at the effective sample size; used where images come in clusters."),
    "delong": phrase("interval of an area under the curve from the placement of every image."),
    "obuchowski": phrase("DeLong's interval with placements summed over clusters."),
    "newcombe": phrase("interval of the difference of two rates, from the two rates' own intervals."),
    "max_t": phrase("simultaneous interval of a range over three or more groups, studentised."),
    "mover_korn_graubard": phrase("interval of a difference, from two Korn–Graubard intervals."),
    "mover_paired": phrase(
        "interval of a difference of two rates that share clusters, from the two rates' own intervals."
    ),
    "mover_ratio": phrase("interval of a ratio of two rates, from the two rates' own intervals."),
    "mover_effective_size": phrase("interval of a difference of means of rates, from two such intervals."),
    "t": phrase("t interval of a mean."),
    "t_cluster_means": phrase("t interval of a mean of cluster means; a cluster counts once."),
    "bonferroni": phrase("each interval of several widened so that together they hold at 95 %."),
}


def limits(facts: Facts) -> Section:
    """What a reader might take from this report and must not."""
    items = [
        say(
            "These are measurements on these images. Another set, another camera or another time can give other values."
        ),
        say("A difference between groups does not say what causes it; groups can differ in how hard their images are."),
        say("A difference that was not found is not shown to be absent: small groups hide large differences."),
        say("A map shows where a score is sensitive. It is no proof of why the model decided as it did."),
        *_maps(facts),
        *_not_measured(facts),
        *_small_groups(facts),
        *_unknown_sources(facts),
    ]
    if facts.regions and facts.run.table("intervention_groups").empty:
        items.append(say("A region's share is a correlation; no region was hidden or changed to see what follows."))
    return Section("limits", say("What this report does not show"), (Bullets(tuple(items)),))


def _maps(facts: Facts) -> list[str]:
    """What is to be said of maps where there are any, with or without stamps."""
    if facts.run.table("explanations", columns=["image_id"]).empty:
        return []
    if facts.run.table("stamps").empty:
        text = say("The faithfulness of the maps (randomisation, deletion and insertion) was not measured in this run.")
        return [text]
    text = say(
        "A stamp holds for the images on which quality was measured, for the score that was explained and for the "
        "thresholds of this version. It is not a finding about groups."
    )
    return [text]


_EXAMINED = {
    "coverage": phrase("who was planned and who failed, by group"),
    "curves": phrase("confidence and decision threshold within groups"),
    "lattice": phrase("subgroups beyond those declared"),
    "slices": phrase("slices that nobody labelled"),
    "leakage": phrase("whether groups can be read from the embeddings"),
    "robustness": phrase("corrupted images"),
    "shift": phrase("another mix of groups"),
    "membership": phrase("whether training images can be told from others"),
    "sensitivity": phrase("wrong group labels"),
    "stamps": phrase("whether the maps are evidence"),
    "intervention_groups": phrase("what changes when a region is hidden"),
}


def _not_measured(facts: Facts) -> list[str]:
    """One line on every kind of measurement that this run does not hold, or does not show at its disclosure level."""
    absent = [say(words) for name, words in _EXAMINED.items() if facts.run.table(name).empty]
    if not absent:
        return []
    level = (facts.run.record.get("disclosure") or {}).get("level")
    names = say("; ").join(absent)
    if level is None:
        return [say("Not measured in this run: {names}.", names=names)]
    return [say("Not measured, or withheld at the level '{level}': {names}.", level=clean(level), names=names)]


def _small_groups(facts: Facts) -> list[str]:
    table = facts.groups
    if table.empty:
        return []
    part = table[(table["metric"] == "accuracy") & table["attribute"].isin(facts.names)]
    small = part[(part["clusters"] < _SMALL) & (part["group"] != MISSING)]
    named = [f"{clean(row.attribute)} {clean(row.group)}" for row in small.drop_duplicates("group").itertuples()]
    found = []
    if named:
        more = say(" and {number} more", number=len(named) - 8) if len(named) > 8 else ""
        names = say(", ").join(named[:8]) + more
        found.append(
            say("Groups with fewer than {small} independent units say little: {names}.", small=_SMALL, names=names)
        )
    undefined = int((table["status"] != "ok").sum())
    if undefined:
        numbers = {"number": count(undefined), "total": count(len(table))}
        found.append(say("{number} of {total} group values have no value or no interval; each says why.", **numbers))
    return found


def _unknown_sources(facts: Facts) -> list[str]:
    unknown = [clean(a["name"]) for a in facts.attributes if (a.get("provenance") or "not stated") == "not stated"]
    if not unknown:
        return []
    names = say(", ").join(unknown)
    return [
        say("It is not stated how the labels of {names} were obtained; wrong labels blur differences.", names=names)
    ]


def methods(facts: Facts) -> Section:
    """Definitions of the metrics, intervals and maps that this report uses."""
    blocks: list[Block] = []
    if not facts.groups.empty:
        used = [name for name in METRICS if (facts.groups["metric"] == name).any()]
        rows = tuple(_definition(name) for name in used)
        heads = (say("Metric"), say("Definition"), say("Undefined when"), say("Does not show"))
        note = say("A metric without a denominator is undefined, never 0.")
        blocks.append(Table(say("Metrics"), tuple(map(Column, heads)), rows, note))
    items = [words for _, words in interval_words(facts.run)]
    if items:
        text = say(
            "Intervals are two-sided at 95 %. Where images come in clusters (several of one person or thing), "
            "intervals and tests treat clusters, not images, as independent. p-values of gaps "
            "come from permutation tests."
        )
        blocks += [Paragraph(text), Bullets(tuple(items))]
    if facts.methods:
        blocks.append(_explainers(facts))
    return Section("methods", say("How it was measured"), (*blocks, *work(facts), checking(facts)))


def checking(facts: Facts) -> Section:
    """How a reader gets from a number to its row, and who has to be trusted for what."""
    rows = [
        (Cell(name), Cell(", ".join(keys)), Cell(held[0]))
        for name, keys in CLAIM_KEYS.items()
        if (held := claims_of(name, facts.run.table(name).head(1)))
    ]
    columns = (Column(say("Table")), Column(say("Parts of a claim, in this order")), Column(say("For example")))
    note = say("Colons, percent signs and characters that cannot be shown are percent-encoded inside a name.")
    parts = Table(say("Tables whose numbers have claims"), columns, tuple(rows), note, folded=True)
    blocks: list[Block] = [Paragraph(say(_CLAIMS)), Bullets(tuple(map(say, _CHECKS))), *([parts] if rows else [])]
    return Section("checking", say("How to check a number"), tuple(blocks))


_CLAIMS = phrase(
    "Every number in a table here that stands in one row of a table of the run has a claim: the name of that row, made "
    "of the table and the columns that tell its rows apart, in one line with colons between them. What does not apply, "
    "such as the class of a metric over all classes, is left empty. The same measurement has the same claim in every "
    "run."
)
_CHECKS = (
    phrase(
        "From a number to its claim: in the HTML report the claim of the number under the pointer stands at the foot "
        "of the window, and in the page's source as data-claim of the cell or of its row. Below a finding are the "
        "claims that it rests on, its own first."
    ),
    phrase(
        "From a claim to its row: look it up in results.json of the bundle, which holds value, interval, n, method and "
        "definition; or filter tables/NAME.parquet (in a bundle also NAME.csv) for the values in the claim. Numbers "
        "are rounded here and are not there."
    ),
    phrase(
        "From a row to its definition: metrics, intervals and methods are defined in “How it was measured”, with what "
        "each metric does not show."
    ),
    phrase(
        "Whether the row is right: the command faircam verify compares every file of a bundle with its digest and "
        "computes numbers, intervals and verdicts again from the stored predictions, as far as the folder at hand "
        "holds them. It says what it could not compute again. Neither this page nor a picture in it needs to be "
        "believed."
    ),
    phrase(
        "What only a signature shows: whoever changes numbers and makes all documents and digests again leaves no "
        "trace in a folder that holds no predictions. A signature that fits a key which you have from its owner shows "
        "that nothing was changed since the owner signed. It does not show that what was signed is true. That the "
        "stored predictions are those of the model is shown by another run of the audit alone."
    ),
)


def _explainers(facts: Facts) -> Table:
    """Explanation methods as the record of the run defines them."""
    rows = []
    for method in (facts.method(name) for name in facts.methods):
        settings = say("; ").join(f"{key} {value}" for key, value in method.settings)
        signs = say("for and against the class") if method.signed else say("no sign")
        rows.append(
            (
                Cell(method.title),
                Cell(method.definition or say("not recorded")),
                Cell(settings or say("none")),
                Cell(signs),
                Cell(method.provider or say("not recorded")),
            )
        )
    heads = (say("Method"), say("Definition"), say("Settings"), say("Values"), say("Implementation"))
    return Table(say("Explanation methods"), tuple(Column(head) for head in heads), tuple(rows))


def _definition(name: str) -> tuple[Cell, ...]:
    metric = METRICS[name]
    parts = [say(text, **{"class": "C"}) for text in (metric.words, metric.undefined, metric.does_not_show)]
    return (Cell(metric_words(name)), *(Cell(part) for part in parts))


def interval_words(run: Run) -> Iterator[tuple[str, str]]:
    """Name and definition of every interval method that a run uses."""
    for name in _intervals(Facts(run)):
        if name in _INTERVALS:
            yield name, say("{name}: {value}", name=interval_name(name), value=say(_INTERVALS[name]))


def _intervals(facts: Facts) -> list[str]:
    """Interval methods that occur in any table, without what was added to their names."""
    seen: set[str] = set()
    for table, column in (("groups", "method"), ("gaps", "method"), ("region_groups", "method_interval")):
        seen |= {str(name) for name in facts.run.table(table)[column].dropna().unique()}
    known_names = [name for name in _INTERVALS if any(one == name or one.startswith(f"{name}_") for one in seen)]
    known_names += [name for name in ("bonferroni", "max_t") if any(name in one for one in seen)]
    return list(dict.fromkeys(known_names))


def provenance(facts: Facts) -> Section:
    """Hashes, versions, seeds and settings: what is needed to repeat the run."""
    record, missing = facts.run.record, say("not recorded")
    config = record.get("config") or {}
    items = [
        (say("Run"), clean(record.get("run_id", missing))),
        (say("Created"), clean(record.get("created", missing))),
        (say("Plan fingerprint"), clean(record.get("fingerprint", missing))),
        (say("State"), say("complete") if facts.run.complete else say("INCOMPLETE")),
        ("faircam", clean(record.get("faircam", missing))),
        (say("Seed"), clean(config.get("seed", missing))),
        (say("Code of the user trusted"), say("yes") if (record.get("trust") or {}).get("trust_code") else say("no")),
        *_environment(record.get("environment") or {}),
        *_timings(record.get("timings") or {}),
    ]
    blocks: list[Block] = [KeyValues(tuple(items), say("Run")), *trust(facts.run.record)]
    blocks += [_model(model) for model in record.get("models") or []]
    if config:
        text = json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True, default=str)
        blocks.append(Code(say("Configuration as given"), clean(text)))
    return Section("provenance", say("Where this comes from"), tuple(blocks))


def _environment(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    items = [(_environment_name(str(key)), _said(value)) for key, value in environment.items() if key != "versions"]
    versions = environment.get("versions")
    if isinstance(versions, Mapping):
        items.append((say("Versions"), ", ".join(f"{clean(key)} {clean(value)}" for key, value in versions.items())))
    return items


_ENVIRONMENT = {
    "machine": phrase("Machine"),
    "platform": phrase("Platform"),
    "processors": phrase("Processors"),
    "python": "Python",
}


def _environment_name(key: str) -> str:
    return say(_ENVIRONMENT[key]) if key in _ENVIRONMENT else plain(key).capitalize()


def _timings(timings: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(say("Seconds taken"), clean(timings["seconds"]))] if known(timings.get("seconds")) else []


_MODEL_KEYS = {
    "framework": phrase("Framework"),
    "architecture": phrase("Architecture"),
    "sha256": phrase("SHA-256 of the file"),
    "classes": phrase("Classes"),
    "outputs": phrase("Outputs"),
    "head": phrase("Head"),
    "score": phrase("Score explained"),
    "layer": phrase("Grad-CAM layer"),
    "input_shape": phrase("Input shape"),
    "parameters": phrase("Parameters"),
    "device": phrase("Device"),
    "preprocessing": phrase("Preprocessing"),
}


def _model(model: Mapping[str, Any]) -> KeyValues:
    items = []
    for key, words in _MODEL_KEYS.items():
        if known(model.get(key)):
            value = count(model[key]) if key == "parameters" else _said(model[key])
            items.append((say(words), value))
    return KeyValues(tuple(items), say("Model {name}", name=clean(model.get("name", ""))))


def _said(value: Any) -> str:
    """A setting in words: lists with commas, dictionaries as key and value."""
    if isinstance(value, Mapping):
        return "; ".join(
            f"{plain(str(key))} {_said(inner)}" for key, inner in value.items() if known(inner) and inner != []
        )
    if isinstance(value, (list, tuple)):
        return ", ".join(_said(inner) for inner in value)
    return clean(value)
