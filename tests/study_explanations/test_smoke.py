"""One small network end to end: trained, audited by the pipeline, judged, and not done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.study_explanations.audited import audit_network, done, read
from tests.study_explanations.judged import COLUMNS, figures_of
from tests.study_explanations.networks import SHORTCUT, Network, Size

METHODS = ("saliency", "grad_cam", "edge_detector", "seeded_noise")

pytestmark = [pytest.mark.torch, pytest.mark.slow]


def test_a_network_end_to_end(tmp_path: Path) -> None:
    network = Network("plain_cnn", SHORTCUT, 3, Size(training=300, validation=40, test=60))
    assert not done(network, tmp_path, METHODS)
    assert audit_network(network, tmp_path, METHODS) == tmp_path / "plain_cnn-shortcut-03"
    assert done(network, tmp_path, METHODS)
    assert not done(network, tmp_path, METHODS[:2])
    assert not done(Network("plain_cnn", SHORTCUT, 3, Size(training=301)), tmp_path, METHODS)

    found = figures_of("smoke", network, *read(network, tmp_path))
    assert list(found.columns) == list(COLUMNS)
    assert set(found["quantity"]) == {"accuracy", "seconds", "region", "effect", "finding", "stamp"}
    assert set(found[found["quantity"] == "finding"]["item"]) == {
        "region_share-marker-saliency",
        "intervention_effect-marker",
    }
    stamps = found[found["quantity"] == "stamp"].set_index(["method", "item"])["result"]
    assert stamps["edge_detector", "depends_on_model"] == "failed"
    assert stamps["edge_detector", "overall"] == "not_evidence"
    assert stamps["saliency", "depends_on_model"] == "passed"
    marker = found[(found["quantity"] == "region") & (found["item"] == "marker")].set_index("method")["value"]
    assert marker["seeded_noise"] == pytest.approx(1, abs=0.2)
