"""Which classes an audit scores, and labels that it refuses: several in a cell, one class only, unknown ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from audit.config import AuditConfig, DataConfig, parse_config
from audit.data.manifest import Dataset, load_dataset
from audit.engine.labels import audit_classes, check_labels
from audit.errors import DataError


def data(folder: Path, labels: list[str]) -> Dataset:
    names = [f"{number}.png" for number in range(len(labels))]
    pd.DataFrame({"image": names, "label": labels}).to_csv(folder / "m.csv", index=False)
    return load_dataset(parse_config(DataConfig, {"manifest": "m.csv"}, where="test"), folder)


def config(**keys: Any) -> AuditConfig:
    entry = {"name": "m", "framework": "numpy", "weights": "w.npz", **keys}
    return parse_config(AuditConfig, {"name": "t", "data": {"manifest": "m.csv"}, "models": [entry]}, where="test")


@pytest.mark.parametrize("cell", ["a|b", "a;b", "a,b", "b , a", "c | a|b", "a||b"])
@pytest.mark.parametrize("declared", [True, False])
def test_several_classes_in_a_cell_are_refused(cell: str, declared: bool, tmp_path: Path) -> None:
    dataset = data(tmp_path, ["a", "b", "c", cell, cell])
    keys = {"classes": ["a", "b", "c"]} if declared else {}
    with pytest.raises(DataError) as caught:
        check_labels(dataset, audit_classes(config(**keys), dataset), "m.csv")
    text = str(caught.value)
    assert f"the label '{cell}' of '3.png' holds" in text
    assert "(2 such rows)" in text
    assert "faircam audits single-label classification" in text


def test_a_class_whose_name_has_a_comma_is_a_class(tmp_path: Path) -> None:
    dataset = data(tmp_path, ["a", "b", "a, b"])
    own = config(classes=["a", "b", "a, b"])
    check_labels(dataset, audit_classes(own, dataset), "m.csv")
    other = data(tmp_path, ["tabby, cat", "dog"])
    assert audit_classes(config(), other) == ("dog", "tabby, cat")


def test_one_class_needs_declared_classes(tmp_path: Path) -> None:
    dataset = data(tmp_path, ["a", "a"])
    with pytest.raises(DataError, match="every label is 'a', and no model declares its classes"):
        audit_classes(config(), dataset)
    assert audit_classes(config(classes=["a", "b"]), dataset) == ("a", "b")


def test_an_unknown_label_is_told_as_before(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="label 'kat' of '1.png' is none of the classes"):
        check_labels(data(tmp_path, ["dog", "kat"]), ("cat", "dog"), "m.csv")
