"""Bundles and their verification: what was changed is named, what cannot be seen is said, what was not is let pass."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from audit.errors import InputError
from audit.run import Run, open_run
from audit.run.files import write_json
from audit.run.integrity import IntegrityError, table_digests
from audit.run.tables import read_table, write_table
from reports.bundle.canonical import ATTESTATION, ENVELOPE, MANIFEST
from reports.bundle.make import Given, seal, write_bundle
from reports.bundle.request import BUNDLE, LEVELS, Request, read_request
from reports.bundle.signature import generate_key
from reports.verify import verify
from reports.verify.files import check_data
from tests.derived_run import build_derived

pytestmark = pytest.mark.slow

DAY = date(2026, 11, 25)
HOLDS_ROWS = ("auditor", "internal")
Made = Callable[[str, bool], Path]


@pytest.fixture(scope="module")
def derived(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run; not to be changed."""
    return build_derived(tmp_path_factory.mktemp("derived") / "run")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Private and public key."""
    private = tmp_path_factory.mktemp("keys") / "signer"
    return private, Path(generate_key(private))


@pytest.fixture(scope="module")
def made(derived: Run, keys: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A bundle at a level, signed or not; not to be changed."""
    folder = tmp_path_factory.mktemp("bundles")

    def make(level: str, signed: bool) -> Path:
        out = folder / f"{level}-{signed}"
        if not out.exists():
            request = Request(level, DAY, ("eu-ai-act", "nyc-ll144"))  # type: ignore[arg-type]
            write_bundle(derived, out, request, Given(key=keys[0] if signed else None))
        return out

    return make


def _redo(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame], table: str = "groups") -> None:
    """Change a table and redo every digest, manifest and document, as somebody with the tool would."""
    write_table(folder, table, change(read_table(folder, table)))
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    write_json(folder / "run.json", {**record, "tables": table_digests(folder)})
    envelope = (folder / ENVELOPE).read_bytes() if (folder / ENVELOPE).exists() else None
    seal(folder, None)
    if envelope is not None:
        (folder / ENVELOPE).write_bytes(envelope)


def _better(frame: pd.DataFrame) -> pd.DataFrame:
    """One group's accuracy, a little higher."""
    place = frame.index[(frame["metric"] == "accuracy") & frame["value"].notna() & (frame["attribute"] == "tone")][0]
    frame.loc[place, "value"] = float(frame.loc[place, "value"]) - 0.01
    return frame


def _without_first(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["image_id"] != frame["image_id"].iloc[0]].reset_index(drop=True)


def test_an_untouched_run_passes(derived: Run) -> None:
    found = verify(derived.path)
    assert found.problems == []
    assert found.exit_code == 0
    assert any("computed again" in check.said for check in found.checks)


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("level", LEVELS)
def test_an_untouched_bundle_passes(made: Made, keys: tuple[Path, Path], level: str, signed: bool) -> None:
    found = verify(made(level, signed), key=keys[1] if signed else None)
    assert found.problems == []
    unseen = " ".join(text for check in found.checks for text in check.unseen)
    assert ("carries no signature" in unseen) is not signed
    assert ("holds no predictions" in unseen) is (level == "public")


@pytest.mark.parametrize("level", LEVELS)
def test_a_bundle_is_the_same_twice(derived: Run, made: Made, tmp_path: Path, level: str) -> None:
    again = tmp_path / "again"
    write_bundle(derived, again, Request(level, DAY, ("eu-ai-act", "nyc-ll144")))  # type: ignore[arg-type]
    first = made(level, False)
    names = sorted(path.relative_to(first).as_posix() for path in first.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(again).as_posix() for path in again.rglob("*") if path.is_file())
    assert [name for name in names if (first / name).read_bytes() != (again / name).read_bytes()] == []
    assert {"results.json", "report.pdf", "modelcard.md", "mlbom.cdx.json", "crosswalk.json", MANIFEST} <= set(names)


def test_the_version_of_the_bill_of_materials_is_remade(derived: Run, made: Made, tmp_path: Path) -> None:
    """It is recorded in the request, without which verification would make the document of another version."""
    write_bundle(derived, tmp_path / "newer", Request("public", DAY, mlbom="1.7"))
    for folder, version in ((made("public", False), "1.6"), (tmp_path / "newer", "1.7")):
        assert json.loads((folder / "mlbom.cdx.json").read_text(encoding="utf-8"))["specVersion"] == version
        assert read_request(folder).mlbom == version
    assert verify(tmp_path / "newer").problems == []
    record = tmp_path / "newer" / BUNDLE
    content = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({**content, "mlbom": "1.5"}), encoding="utf-8")
    assert any("CycloneDX version is '1.5', allowed: 1.6, 1.7" in text for text in verify(record.parent).problems)
    record.write_text(json.dumps({key: value for key, value in content.items() if key != "mlbom"}), encoding="utf-8")
    assert read_request(record.parent).mlbom == "1.6"  # a bundle made before there was a choice


def test_a_zip_is_the_same_twice_and_verifies(derived: Run, tmp_path: Path) -> None:
    request = Request("public", DAY)
    first, second = tmp_path / "one.zip", tmp_path / "two.zip"
    write_bundle(derived, first, request)
    write_bundle(derived, second, request)
    assert first.read_bytes() == second.read_bytes()
    assert verify(first).problems == []


@pytest.mark.parametrize("level", LEVELS)
def test_one_changed_byte_in_any_file_is_named(made: Made, tmp_path: Path, level: str) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(made(level, True), folder)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name in (ENVELOPE, ATTESTATION) or (name.startswith("tables/") and name != "tables/groups.parquet"):
            continue  # the tables are all alike; seals have tests of their own
        held = path.read_bytes()
        path.write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
        from reports.verify.seals import check_manifest

        assert any(name in problem or name == MANIFEST for problem in check_manifest(folder).problems), name
        path.write_bytes(held)


@pytest.mark.parametrize("level", LEVELS)
def test_one_changed_number_with_every_hash_redone(
    made: Made, keys: tuple[Path, Path], tmp_path: Path, level: str
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(made(level, True), folder)
    _redo(folder, _better)
    found = verify(folder)
    if level in HOLDS_ROWS:
        assert found.exit_code == 4
        assert any(
            problem.startswith("groups:biased-torch:tone:") and ": value is" in problem for problem in found.problems
        )
    else:
        assert found.problems == []
        assert any("only a signature shows" in text for check in found.checks for text in check.unseen)
    assert any("signature" in problem for problem in verify(folder, key=keys[1]).problems)


@pytest.mark.parametrize("level", HOLDS_ROWS)
def test_a_removed_image_with_every_hash_redone(made: Made, tmp_path: Path, level: str) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(made(level, False), folder)
    predictions = read_table(folder, "predictions")
    gone = predictions.loc[predictions["predicted"] != predictions["label"], "image_id"].iloc[0]
    for table in ("images", "predictions"):
        _redo(folder, lambda frame: frame[frame["image_id"] != gone].reset_index(drop=True), table)
    problems = verify(folder).problems
    assert any("240 images were planned, table `images` has 239" in problem for problem in problems)
    assert any(problem.startswith("groups:") for problem in problems)


@pytest.mark.parametrize("level", LEVELS)
def test_a_swapped_model(derived: Run, made: Made, tmp_path: Path, level: str) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(b"other weights")
    problems = verify(made(level, False), models=[other]).problems
    assert len(problems) == 1
    assert "other.bin" in problems[0]
    assert "none of the models" in problems[0]
    assert verify(made(level, False), models=[derived.path.parent / "model.bin"]).problems == []


def test_the_wrong_key_and_no_signature(made: Made, keys: tuple[Path, Path], tmp_path: Path) -> None:
    stranger = Path(generate_key(tmp_path / "stranger"))
    assert any("key" in problem for problem in verify(made("public", True), key=stranger).problems)
    assert any("not signed" in problem for problem in verify(made("public", False), key=keys[1]).problems)


def test_images_at_hand_are_compared_at_the_internal_level(derived: Run, made: Made, tmp_path: Path) -> None:
    found = verify(made("internal", False), data=tmp_path)
    assert any("is missing" in problem for problem in found.problems)
    found = verify(made("public", False), data=tmp_path)
    assert any("holds no digest" in text for check in found.checks for text in check.unseen)


@pytest.mark.parametrize(
    "source", [{"huggingface": "saved"}, {"torchvision": {"name": "FakeData"}}, {"huggingface": "withheld"}]
)
def test_images_of_a_dataset_are_not_comparable_with_files(
    derived: Run, tmp_path: Path, source: dict[str, object]
) -> None:
    """Their names are places in the dataset: that no file bears them says nothing."""
    data = {**derived.record["config"]["data"], "manifest": None, **source}
    config = {**derived.record["config"], "data": data}
    found = check_data(Run(derived.path, {**derived.record, "config": config}), tmp_path)
    assert (found.said, found.problems) == ("not comparable", ())
    assert "came from a dataset of" in found.unseen[0]


def test_the_public_level_holds_no_row_and_no_name(derived: Run, made: Made) -> None:
    folder = made("public", False)
    ids = derived.table("images")["image_id"].tolist()[:20]
    scenes = [name for name in derived.table("images")["cluster"].dropna().unique() if len(str(name)) > 4][:20]
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        assert path.suffix not in (".png", ".jpg"), path
        content = path.read_bytes()
        assert not [name for name in [*ids, *scenes] if str(name).encode() in content], path


def test_a_changed_run_makes_no_bundle(derived: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(derived.path, folder)
    write_table(folder, "groups", _better(read_table(folder, "groups")))
    with pytest.raises(IntegrityError, match="groups"):
        write_bundle(open_run(folder), tmp_path / "bundle", Request("public", DAY))
    assert not (tmp_path / "bundle").exists()


def test_a_folder_that_is_there_is_not_overwritten(derived: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is there already"):
        write_bundle(derived, tmp_path, Request("public", DAY))


def test_an_unknown_pack(derived: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="eu-ai-act"):
        write_bundle(derived, tmp_path / "bundle", Request("public", DAY, ("eu-ai-akt",)))


def test_a_public_report_with_suppressed_cells_says_so(made: Made) -> None:
    """The images without a tone are 6 of 3 scenes; they and the next smallest group are suppressed."""
    groups = read_table(made("public", False), "groups")
    hidden = groups[(groups["status"] == "suppressed") & (groups["metric"] == "accuracy")]
    assert set(hidden["group"]) == {"(missing)", "tone-4"}
    page = (made("public", False) / "report.html").read_text(encoding="utf-8")
    assert "Rows are withheld" in page
    assert "suppressed: the cell is small" in page
