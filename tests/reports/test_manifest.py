"""Canonical JSON against the RFC's own example, and manifests of folders that were changed in every way."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import InputError, RunError
from audit.run.integrity import IntegrityError
from reports.bundle.canonical import (
    canonical,
    manifest,
    manifest_problems,
    manifest_sha256,
    read_manifest,
)


def test_example_of_the_rfc() -> None:
    """RFC 8785, sections 3.2.2 to 3.2.4: numbers, escapes and the order of keys."""
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"\u002f",
        "literals": [None, True, False],
    }
    written = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical(value) == written.encode()
    keys = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert list(json.loads(canonical(keys)).values()) == [2, 4, 6, 7, 1, 5, 3]


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53, {1: 2}, {"a": {3}}, "\ud800", {"\ud800": 1}])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="no canonical JSON"):
        canonical({"deep": [value]})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_canonical_form_keeps_the_value_and_is_its_own(value: object) -> None:
    written = canonical(value)
    assert json.loads(written, parse_int=float) == value
    assert canonical(json.loads(written, parse_int=float)) == written


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "tables").mkdir(parents=True)
    (folder / "run.json").write_bytes(b"{}")
    (folder / "tables" / "groups.csv").write_bytes(b"a,b\n1,2\n")
    (folder / "ünï.txt").write_bytes(b"")
    return folder


def seal(folder: Path) -> dict:
    content = manifest(folder)
    (folder / "manifest.json").write_bytes(canonical(content))
    return content


def test_manifest_by_hand(bundle: Path) -> None:
    """SHA-256 of "{}" and of nothing are well known; the third was computed with `sha256sum`."""
    assert manifest(bundle) == {
        "schema_version": 1,
        "files": {
            "run.json": {"sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "bytes": 2},
            "tables/groups.csv": {
                "sha256": "492d5ea496056f1a6a6592241032fab764c321596317930b4fa0e1e8bc3b7470",
                "bytes": 8,
            },
            "ünï.txt": {"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "bytes": 0},
        },
    }


def test_manifest_leaves_out_itself_and_what_is_made_from_it(bundle: Path) -> None:
    before = manifest(bundle)
    for name in ("manifest.json", "attestation.intoto.json", "attestation.dsse.json", "attestation.sigstore.json"):
        (bundle / name).write_text("x")
    (bundle / ".lock").write_bytes(b"")
    assert manifest(bundle) == before
    (bundle / "tables" / "manifest.json").write_text("x")
    (bundle / ".lock").write_bytes(b"hidden")
    assert set(manifest(bundle)["files"]) - set(before["files"]) == {"tables/manifest.json", ".lock"}


def test_untouched_folder_has_no_problem(bundle: Path) -> None:
    seal(bundle)
    assert manifest_problems(bundle, read_manifest(bundle)) == []
    assert manifest_sha256(manifest(bundle)) == hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()


def test_changed_missing_and_added_files_are_named(bundle: Path) -> None:
    content = seal(bundle)
    (bundle / "run.json").write_bytes(b"[]")
    (bundle / "tables" / "groups.csv").unlink()
    (bundle / "ünï.txt").write_bytes(b"longer")
    (bundle / "tables" / "new.csv").write_bytes(b"")
    assert manifest_problems(bundle, content) == [
        "run.json was changed: its SHA-256 is not the one in manifest.json",
        "tables/groups.csv is missing",
        "tables/new.csv is not listed in manifest.json: it was added later",
        "ünï.txt was changed: it has 6 bytes, manifest.json says 0",
    ]


def test_every_single_byte_counts(bundle: Path) -> None:
    content = seal(bundle)
    for name in content["files"]:
        path = bundle / name
        held = path.read_bytes()
        for place in range(len(held)):
            path.write_bytes(held[:place] + bytes([held[place] ^ 1]) + held[place + 1 :])
            assert manifest_problems(bundle, content) == [
                f"{name} was changed: its SHA-256 is not the one in manifest.json"
            ]
        path.write_bytes(held)


@pytest.mark.parametrize("kind", ["link", "folder link", "pipe"])
def test_links_and_odd_files_are_refused(bundle: Path, tmp_path: Path, kind: str) -> None:
    content = seal(bundle)
    odd = bundle / "tables" / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
        words = "tables/odd is no regular file, and a bundle holds regular files only"
    else:
        target = tmp_path / "elsewhere"
        target.mkdir()
        (target / "file").write_text("x")
        odd.symlink_to(target if kind == "folder link" else target / "file")
        words = "tables/odd is a symbolic link, and a bundle holds regular files only"
    with pytest.raises(RunError, match="tables/odd"):
        manifest(bundle)
    assert manifest_problems(bundle, content) == [words]


def test_a_file_replaced_by_a_link_to_its_copy_is_found(bundle: Path, tmp_path: Path) -> None:
    content = seal(bundle)
    (bundle / "run.json").rename(tmp_path / "run.json")
    (bundle / "run.json").symlink_to(tmp_path / "run.json")
    problems = manifest_problems(bundle, content)
    assert problems == [
        "run.json is a symbolic link, and a bundle holds regular files only",
        "run.json is missing",
    ]


def test_a_name_that_is_not_utf8_is_refused(bundle: Path) -> None:
    (bundle / os.fsdecode(b"bad\xff")).write_text("x")
    with pytest.raises(RunError, match="not UTF-8"):
        manifest(bundle)


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "a/../b", "./a", "a//b", "", "manifest.json", "attestation.dsse.json", "a/"]
)
def test_paths_that_lead_elsewhere_are_refused(bundle: Path, name: str) -> None:
    content = seal(bundle)
    content["files"][name] = {"sha256": "0" * 64, "bytes": 0}
    assert manifest_problems(bundle, content) == [f"manifest.json lists '{name}', which cannot be a file of a bundle"]


@pytest.mark.parametrize(
    "entry", [None, {}, {"sha256": "0" * 63, "bytes": 1}, {"sha256": "0" * 64}, {"sha256": "0" * 64, "bytes": True}]
)
def test_malformed_entries_are_problems(bundle: Path, entry: object) -> None:
    content = seal(bundle)
    content["files"]["run.json"] = entry
    assert manifest_problems(bundle, content) == ["manifest.json gives no SHA-256 and size of run.json"]


@pytest.mark.parametrize("content", [None, [], {}, {"files": []}])
def test_what_is_no_manifest_is_a_problem(bundle: Path, content: object) -> None:
    assert manifest_problems(bundle, content) == ["manifest.json lists no files"]


def test_a_manifest_of_another_version(bundle: Path) -> None:
    problems = manifest_problems(bundle, {**seal(bundle), "schema_version": 2})
    assert problems == ["manifest.json has schema_version 2, this version of faircam reads 1"]


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (b'{"files": {}, "schema_version": 1}', "canonical form"),
        (b'{"files":{},"files":{},"schema_version":1}', "canonical form"),
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"files":[],"schema_version":1}', "lists no files"),
    ],
)
def test_a_manifest_that_was_not_written_here(bundle: Path, held: bytes, words: str) -> None:
    (bundle / "manifest.json").write_bytes(held)
    with pytest.raises(IntegrityError, match=words):
        read_manifest(bundle)


def test_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no manifest\.json"):
        read_manifest(tmp_path)
    with pytest.raises(RunError, match="is no folder"):
        manifest(tmp_path / "none")
