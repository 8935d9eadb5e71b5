"""`modelcard.md`: a Hugging Face model card, its ``model-index`` holding the results slice by slice.

What a person alone can say (intended use, licence, contacts) is not invented here; the card says where it belongs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit.run import Run
from reports.bundle.card_text import card_text
from reports.bundle.slices import Result, encoded, results_by_slice
from reports.format import clean, metric_words
from reports.sections.facts import Facts

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

__all__ = ["index_slice", "model_card"]

_LIBRARIES = {"torch": "pytorch", "keras": "keras", "onnx": "onnx"}


def model_card(run: Run) -> str:
    """Write a run as a Hugging Face model card.

    Parameters
    ----------
    run : Run

    Returns
    -------
    str
        YAML front matter with ``model-index``, then Markdown. Each result's ``dataset.config`` names model and
        slice as `index_slice` does, ``metrics.config`` the class, ``metrics.args`` n, interval and claim.
        Values that are undefined or withheld are not in the index: the text lists them.

    Notes
    -----
    The slice stands in ``dataset.config`` because huggingface_hub merges results that differ only in
    ``dataset.args``: one group's value would come back under another group's name.
    """
    from huggingface_hub import ModelCardData

    facts = Facts(run)
    selection = results_by_slice(run)
    several = len(run.models) > 1
    name = clean(run.models[0] if len(run.models) == 1 else run.name)
    results = [_evaluated(facts, result, several=several) for result in selection.shown]
    data = ModelCardData(
        model_name=name if results else None,
        eval_results=results or None,
        library_name=_library(run),
        pipeline_tag="image-classification",
        tags=["image-classification", "model-audit", "faircam"],
    )
    head: dict[str, Any] = data.to_dict()  # type: ignore[no-untyped-call]
    return f"---\n{_yaml(head)}---\n\n{card_text(facts, selection, name)}"


def _yaml(content: dict[str, Any]) -> str:
    """As huggingface_hub writes it, but with text that holds U+0085 quoted, which would come back as a space."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if "\u0085" in value else None)

    Dumper.add_representer(str, text)
    return str(yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True))


def index_slice(result: Result, *, several: bool) -> str:
    """Value of ``dataset.config``: the slice, and before it the model where the run has several.

    Parameters
    ----------
    result : Result
    several : bool
        Whether the run has more than one model.

    Returns
    -------
    str
        Such as ``tone=dark`` or ``model=plain;tone=dark``; unambiguous whatever the names are.
    """
    return f"model={encoded(result.model)};{result.slice}" if several else result.slice


def _evaluated(facts: Facts, result: Result, *, several: bool) -> EvalResult:
    from huggingface_hub import EvalResult

    fingerprint = facts.run.record.get("fingerprint")
    return EvalResult(
        task_type="image-classification",
        task_name="Image classification",
        dataset_type="local-images",
        dataset_name=f"Images of the audit '{clean(facts.run.name)}'",
        dataset_config=index_slice(result, several=several),
        dataset_split=_split(facts),
        dataset_revision=None if fingerprint is None else str(fingerprint),
        metric_type=result.metric,
        metric_name=metric_words(result.metric, result.class_name),
        metric_value=result.value,
        metric_config=result.class_name,
        metric_args=_said(result),
    )


def _said(result: Result) -> dict[str, Any]:
    """What a bare value lacks: how many, how sure, and where the row is."""
    bounded = result.low is not None and result.high is not None
    return {
        "claim": result.claim,
        "n": result.n,
        "clusters": result.clusters,
        "interval": [result.low, result.high] if bounded else None,
        "level": 0.95 if bounded else None,
        "interval_method": result.method if bounded else None,
        "status": result.status,
    }


def _split(facts: Facts) -> str | None:
    split = (facts.config.get("data") or {}).get("split")
    kept = split.get("keep") if isinstance(split, dict) else None
    return ", ".join(clean(name) for name in kept) if isinstance(kept, list) and kept else None


def _library(run: Run) -> str | None:
    """The framework, where all models share one that the Hub has a name for."""
    frameworks = {str(model.get("framework")) for model in run.record.get("models") or []}
    return _LIBRARIES.get(frameworks.pop()) if len(frameworks) == 1 else None
