"""Every manifest has its one outcome: read as it stands, or refused in one line that names what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.config import DataConfig
from audit.data.manifest import load_dataset
from audit.errors import DataError
from tests.hostile.manifests import Case, cases

CASES = cases()


def test_there_are_enough() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 30


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_outcome(case: Case, tmp_path: Path) -> None:
    (tmp_path / case.name).write_bytes(case.content)
    config = DataConfig.model_validate(
        {"manifest": case.name, "image": "image", "label": "label", "groups": ["group"], **case.config}
    )
    if case.says is None:
        dataset = load_dataset(config, tmp_path)
        assert len(dataset) == case.rows
        assert dataset.rows["label"].map(type).eq(str).all()
        return
    with pytest.raises(DataError) as raised:
        load_dataset(config, tmp_path)
    assert case.says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_looks_like_a_number_or_nothing_keeps_its_letters(tmp_path: Path) -> None:
    kept = {case.name: case for case in CASES}
    for name, labels in (("numbers-as-written.csv", ["007"]), ("words-that-mean-nothing.csv", ["NA", "nan"])):
        (tmp_path / name).write_bytes(kept[name].content)
        config = DataConfig.model_validate({"manifest": name, "image": "image", "label": "label", "groups": ["group"]})
        assert load_dataset(config, tmp_path).rows["label"].tolist() == labels
