"""Making a bundle: disclose the run at a level, write the documents from what is left, seal it."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from audit.errors import IncompleteRun, InputError, RunError
from audit.findings.waivers import load_waivers
from audit.run import Run
from audit.run.files import write_json
from audit.run.integrity import IntegrityError, check_integrity
from audit.run.statements import LOG
from reports.bundle.archive import write_zip
from reports.bundle.attestation import attestation
from reports.bundle.canonical import ATTESTATION, ENVELOPE, MANIFEST, canonical, manifest
from reports.bundle.documents import PACKS, Contents, documents
from reports.bundle.levels import Disclosure, disclose
from reports.bundle.packs import known_packs, load_pack
from reports.bundle.request import BUNDLE, Request
from reports.bundle.signature import sign
from reports.bundle.verdicts import POLICY, WAIVERS, judged

__all__ = ["Given", "write_bundle"]

_SECRET = ".pseudonyms"  # noqa: S105 - a file name


@dataclass(frozen=True)
class Given:
    """Files of the user that a bundle takes in.

    Attributes
    ----------
    policy : Path or None
        Judged by this one; by the one that the run named, or the built-in one, where it is None.
    waivers : Path or None
    key : Path or None
        Private Ed25519 key to sign with.
    """

    policy: Path | None = None
    waivers: Path | None = None
    key: Path | None = None


def write_bundle(
    run: Run,
    out: Path,
    request: Request,
    given: Given | None = None,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Disclosure:
    """Write the compliance bundle of a run.

    Parameters
    ----------
    run : Run
    out : Path
        A folder that is not there yet, or a ``.zip``, which is replaced. A crash leaves none or a whole one.
    request : Request
    given : Given, optional
    progress : callable
        Told what is being made.

    Returns
    -------
    Disclosure
        What was withheld.

    Raises
    ------
    InputError
        The folder is there, or a pack or key cannot be used.
    IntegrityError
        The run is not as it was written.
    IncompleteRun
        The run ended before it had tables.
    """
    given = given or Given()
    archive = out.suffix == ".zip"
    if out.exists() and (not archive or out.is_dir()):
        raise InputError("is there already", where=str(out), fix="name a folder that is not there yet, or a .zip")
    for pack in request.packs:
        load_pack(pack)
    if given.waivers is not None:
        load_waivers(given.waivers)
    _usable(run)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as place:
        folder = Path(place) / "bundle"
        progress("tables")
        source = judged(run, given.policy, request.day)
        disclosure = disclose(source, request.level, folder, threshold=request.threshold, secret=_secret(run))
        _take_in(run, folder, given)
        write_json(folder / BUNDLE, _with_packs(request, folder).to_json())
        seal(folder, given.key, progress)
        if archive:
            write_zip(folder, out)
        else:
            folder.rename(out)
    return disclosure


def _usable(run: Run) -> None:
    problems = check_integrity(run)
    if problems:
        raise IntegrityError("; ".join(problems), where=str(run.path), fix="make the run again from its inputs")
    if run.record.get("disclosure") is None and not (run.has("images") and run.has("predictions")):
        raise IncompleteRun(
            "the run ended before its tables were written",
            where=str(run.path),
            fix="`faircam run --resume` goes on with it",
        )


def seal(folder: Path, key: Path | None, progress: Callable[[str], None] = lambda _: None) -> None:
    """Make every document of a bundle's folder, then its manifest, its attestation, and with a key the signature."""
    contents = Contents.of(folder)
    for name, content in documents(contents):
        progress(name)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    progress("manifest")
    listed = manifest(folder)
    (folder / MANIFEST).write_bytes(canonical(listed))
    findings = contents.check.findings.to_dict("records")
    statement = canonical(attestation(listed, contents.run.record, findings))
    (folder / ATTESTATION).write_bytes(statement)
    if key is not None:
        (folder / ENVELOPE).write_bytes(sign(statement, key))


def _with_packs(request: Request, folder: Path) -> Request:
    """The request with packs of the user copied into the bundle, so that it can be verified elsewhere."""
    names = []
    for name in request.packs:
        if name in known_packs():
            names.append(name)
            continue
        (folder / PACKS).mkdir(exist_ok=True)
        shutil.copyfile(name, folder / PACKS / Path(name).name)
        names.append(f"{PACKS}/{Path(name).name}")
    return replace(request, packs=tuple(names))


def _take_in(run: Run, folder: Path, given: Given) -> None:
    """Policy, waivers and statements, as they are."""
    text = (run.record.get("policy") or {}).get("text")
    if given.policy is not None:
        shutil.copyfile(given.policy, folder / POLICY)
    elif text:
        (folder / POLICY).write_bytes(str(text).encode())
    if given.waivers is not None:
        shutil.copyfile(given.waivers, folder / WAIVERS)
    if (run.path / LOG).exists():
        shutil.copyfile(run.path / LOG, folder / LOG)


def _secret(run: Run) -> bytes:
    """What pseudonyms are made with: drawn once for a run, kept beside it, in no bundle."""
    path = run.path / _SECRET
    if not path.exists():
        try:
            path.touch(mode=0o600)
            path.write_bytes(secrets.token_bytes(32))
        except OSError as error:
            raise RunError(
                f"the secret that pseudonyms are made with cannot be kept: {error}",
                where=str(path),
                fix="make the run's folder writable",
            ) from error
    return path.read_bytes()
