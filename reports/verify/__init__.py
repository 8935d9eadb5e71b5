"""Whether a run or a bundle is still what it was: hashes, signature, schema, and every number computed again.

Reads the folder alone; `--model` and `--data` bring in files from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from audit.run import Run, open_run
from audit.run.integrity import check_integrity, unchecked
from reports.bundle.archive import opened
from reports.bundle.request import BUNDLE, read_request
from reports.verify.checks import INTACT, MODIFIED, Check, Verification
from reports.verify.documents import check_claims, check_documents, check_schema
from reports.verify.files import check_data, check_models
from reports.verify.recompute import raw_problems, recompute
from reports.verify.seals import check_manifest, check_seal, check_statements

__all__ = ["INTACT", "MODIFIED", "Check", "Verification", "verify"]


def verify(
    path: Path,
    *,
    models: Sequence[Path] = (),
    data: Path | None = None,
    key: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Check a run folder, or a bundle as folder or ``.zip``.

    Parameters
    ----------
    path : Path
    models : sequence of Path
        Model files that ought to be those that were audited.
    data : Path, optional
        Folder from which the image paths of the manifest start.
    key : Path, optional
        Public key that the bundle ought to be signed with. A bundle without a signature by it fails.
    progress : callable
        Told what is being checked.

    Returns
    -------
    Verification
        With exit code 0 where nothing was found, else 4. What could not be seen at this level, or without a signature,
        is listed beside each check.

    Raises
    ------
    InputError
        The path, a model, the data or the key cannot be read.
    RunError
        The folder is no run.
    """
    with opened(path) as folder:
        run = open_run(folder)
        bundle = (folder / BUNDLE).exists() or (folder / "manifest.json").exists()
        checks = list(_checks(run, folder, bundle=bundle, key=key, progress=progress))
        if models:
            checks.append(check_models(run, models))
        if data is not None:
            checks.append(check_data(run, data))
        return Verification(path, _what(run, folder, bundle=bundle), tuple(checks))


def _checks(run: Run, folder: Path, *, bundle: bool, key: Path | None, progress: Callable[[str], None]) -> list[Check]:
    steps: list[tuple[str, Callable[[], Check]]] = []
    if bundle:
        steps += [("files", lambda: check_manifest(folder)), ("signature", lambda: check_seal(folder, key))]
    steps += [
        ("record", lambda: _record(run)),
        ("statements", lambda: check_statements(folder)),
        ("rows", lambda: raw_problems(run)),
        ("numbers", lambda: recompute(run)),
    ]
    if bundle:
        steps += [
            ("schema", lambda: check_schema(folder)),
            ("claims", lambda: check_claims(run)),
            ("documents", lambda: check_documents(folder)),
        ]
    found = []
    for name, step in steps:
        progress(name)
        found.append(step())
    return found


def _record(run: Run) -> Check:
    digests = len(run.record.get("tables") or {})
    return Check(
        "record",
        f"plan, shards and the digests of {digests} tables",
        tuple(check_integrity(run)),
        tuple(unchecked(run)),
    )


def _what(run: Run, folder: Path, *, bundle: bool) -> str:
    state = "" if run.complete else ", INCOMPLETE"
    if not bundle:
        return f"run '{run.name}'{state}"
    return f"bundle of run '{run.name}' at level {read_request(folder).level}{state}"
