"""A model's file is loaded from a private copy, and its digest is that of the copy."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

from audit.config import ExecutionConfig, ModelConfig
from audit.errors import InputError, ModelError
from audit.models.files import copied, model_digest
from audit.models.loading import load_model
from audit.trust import NOTHING, Trust
from tests.models.twins import CLASSES, images, numpy_twin, weights


def config(name: str = "m.npz") -> ModelConfig:
    keys = {"name": "m", "framework": "numpy", "weights": name, "preprocessing": {"size": [6, 5]}}
    return ModelConfig.model_validate(keys)


def test_the_copy_outlives_a_change_of_the_original(tmp_path: Path) -> None:
    """What is judged is what is loaded: the file changes between the two, and neither sees it."""
    first, second = b"first" * 300_000, b"second"
    (tmp_path / "m.npz").write_bytes(first)
    with copied(config(), tmp_path) as file:
        assert file is not None
        (tmp_path / "m.npz").write_bytes(second)
        assert file.sha256 == sha256(first).hexdigest()
        assert file.path.read_bytes() == first
        assert (file.size, file.original) == (len(first), tmp_path / "m.npz")
        assert file.path.parent.stat().st_mode & 0o077 == 0
    assert not file.path.exists()


def test_a_file_that_changed_since_it_was_checked_is_not_loaded(tmp_path: Path) -> None:
    import numpy as np

    np.savez(tmp_path / "m.npz", **weights())
    digest = model_digest(config(), tmp_path)
    adapter = load_model(config(), tmp_path, CLASSES, ExecutionConfig(), NOTHING, digest)
    np.testing.assert_allclose(adapter.scores(images()), numpy_twin().scores(images()))
    np.savez(tmp_path / "m.npz", **{name: array + 1 for name, array in weights().items()})
    with pytest.raises(ModelError, match=f"{digest} was expected: it changed meanwhile.*at rest"):
        load_model(config(), tmp_path, CLASSES, ExecutionConfig(), NOTHING, digest)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    from audit.models import files

    os.mkfifo(tmp_path / "pipe")
    assert files._copy(tmp_path / "pipe", tmp_path / "copy") == sha256(b"").hexdigest()


def test_digests_are_read_as_people_paste_them() -> None:
    digest = "ab" * 32
    assert Trust.given(True, [f"SHA256:{digest.upper()}", f"sha256:{digest}"]) == Trust(True, (digest,))
    assert Trust.of({**Trust(False, (digest,)).as_json(), "other": 1}) == Trust(False, (digest,))
    assert Trust.of({}) == Trust.given(False, None) == NOTHING


@pytest.mark.parametrize("text", ["", "ab" * 32, "sha256:ab", f"sha256:{'g' * 64}", f"sha1:{'a' * 40}", "sha256:*"])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(
        InputError, match="--trust-model is '.*', allowed: sha256: and 64 hexadecimal digits.*sha256sum"
    ):
        Trust.given(False, [text])
