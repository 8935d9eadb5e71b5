"""Commands for whoever answers for an audit: bundle, verify, statement, erase, keys. Thin, like `audit.cli`."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from audit.errors import InputError

__all__ = ["register"]

Day = Annotated[
    datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Day of evaluation; today by default.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(epilog="Example: [bold]faircam bundle runs/first --disclosure auditor --out first.zip[/bold]")(bundle)
    app.command(epilog="Example: [bold]faircam verify first.zip --key signer.pub[/bold]")(verify)
    app.command(
        epilog="Example: [bold]faircam statement runs/first --about intended_purpose --author 'Ana Ruiz' --role "
        "'product owner' --text 'Counts smiles in a kiosk.'[/bold]"
    )(statement)
    app.command(
        epilog="Example: [bold]faircam erase runs/first --cluster person-17 --by 'Ana Ruiz' --reason 'asked on "
        "2 May'[/bold]"
    )(erase)
    app.command(epilog="Example: [bold]faircam keygen signer[/bold]")(keygen)
    app.command(
        epilog="Example: [bold]faircam log runs/first --mlflow http://127.0.0.1:5000 --experiment smiles[/bold]"
    )(log)


def bundle(
    folder: RunFolder,
    out: Annotated[Path, typer.Option("--out", help="Folder or .zip to write.")],
    disclosure: Annotated[str, typer.Option("--disclosure", help="public, auditor or internal.")],
    policy: Annotated[Path | None, typer.Option("--policy", help="Judge by this; by the run's own if left.")] = None,
    waivers: Annotated[Path | None, typer.Option("--waivers", help="File with signed waivers.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="Private Ed25519 key to sign with.")] = None,
    pack: Annotated[list[str] | None, typer.Option("--pack", help="Legal pack; all that are known if left.")] = None,
    threshold: Annotated[int, typer.Option(help="Public level: smaller cells are suppressed.", min=2)] = 10,
    sex: Annotated[str | None, typer.Option(help="Attribute that is sex, for New York City's tables.")] = None,
    race: Annotated[str | None, typer.Option(help="Attribute that is race or ethnicity, for the same.")] = None,
    mlbom: Annotated[str, typer.Option("--mlbom", help="Version of CycloneDX for the ML-BOM: 1.6 or 1.7.")] = "1.6",
    language: Annotated[str, typer.Option("--language", help="Of the report's own words: en or zh.")] = "en",
    day: Day = None,
) -> None:
    """Write the compliance bundle of a run: tables, verdicts, report, crosswalk, model card, seals.

    public: no image, no file name, no row; small cells suppressed with complements. auditor: rows under pseudonyms.
    internal: everything but the maps.
    """
    from audit.cli import own
    from audit.console import say, step
    from audit.run import open_run

    own("reports")
    from reports.bundle.make import Given, write_bundle
    from reports.bundle.ml_bom import check_spec
    from reports.bundle.packs import known_packs
    from reports.bundle.request import Request, check_level
    from reports.language import check_language

    packs = tuple(pack) if pack else tuple(known_packs())
    when, level, version = (day or datetime.now()).date(), check_level(disclosure), check_spec(mlbom)
    words = check_language(language)
    request = Request(level, when, packs, threshold, sex, race, mlbom=version, language=words)
    with step("making") as progress:
        done = write_bundle(open_run(folder), out, request, Given(policy, waivers, key), progress=progress)
    for line in done.withheld:
        say(f"Withheld: {line}")
    say(f"Bundle:   {out} ({disclosure}, {'signed' if key else 'not signed'})")
    say(f"Next:     faircam verify {out}{' --key PUBLIC_KEY' if key else ''}")


def verify(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A run folder, or a bundle as folder or .zip.")],
    model: Annotated[list[Path] | None, typer.Option("--model", help="Model file that was audited.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder that the image paths start from.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="Public key of whoever signed.")] = None,
) -> None:
    """Check hashes and signature, and compute every number again from the stored predictions.

    Exit code 0: nothing was found that differs. 4: something was changed, is missing, or is not signed by that key.
    What could not be seen at this level, or without a signature, is listed.
    """
    from audit.cli import own
    from audit.console import say, step

    own("reports")
    from reports.verify import verify as verified

    with step("checking") as progress:
        found = verified(path, models=model or (), data=data, key=key, progress=progress)
    for line in found.lines():
        say(line)
    raise typer.Exit(found.exit_code)


def statement(
    folder: RunFolder,
    about: Annotated[str | None, typer.Option(help="Id of the statement, or a claim; lists them if left.")] = None,
    author: Annotated[str, typer.Option(help="Who says it.")] = "",
    role: Annotated[str, typer.Option(help="As what.")] = "",
    text: Annotated[str, typer.Option(help="What is said.")] = "",
    kind: Annotated[
        str, typer.Option(help="statement, note or waiver; a waiver is about a finding's claim.")
    ] = "statement",
    expires: Annotated[
        datetime | None, typer.Option("--expires", formats=["%Y-%m-%d"], help="Of a waiver: its last day.")
    ] = None,
) -> None:
    """Add what only a person can say to a run, or list what is said and what is missing. Nothing is ever replaced."""
    from audit.console import say
    from audit.run import open_run
    from audit.run.statements import REQUIRED_STATEMENTS, add_statement, missing_statements, read_statements

    run = open_run(folder)
    if about is None:
        for said in read_statements(run):
            say(f"{said.time}  {said.about}  {said.author} ({said.role}): {said.text}")
        for name in missing_statements(read_statements(run)):
            say(f"Missing: {name}: {REQUIRED_STATEMENTS[name]}")
        return
    until = None if expires is None else expires.date()
    made = add_statement(run, kind=kind, about=about, author=author, role=role, text=text, expires=until)
    say(f"Added: {made.kind} {made.id} about {made.about}")


def erase(
    folder: RunFolder,
    reason: Annotated[str, typer.Option(help="Why, without names: it stays in the record.")],
    by: Annotated[str, typer.Option(help="Who carries it out.")],
    image: Annotated[list[str] | None, typer.Option("--image", help="Id of an image.")] = None,
    cluster: Annotated[list[str] | None, typer.Option("--cluster", help="Every image of it, such as a person.")] = None,
    day: Day = None,
) -> None:
    """Erase images of a run: rows, maps and thumbnails leave it, and every number is computed again."""
    from audit.console import say, step
    from audit.erasure import Erasure
    from audit.erasure import erase as erased
    from audit.run import open_run

    when: date = (day or datetime.now()).date()
    with step("erasing") as progress:
        lines = erased(
            open_run(folder), Erasure(tuple(image or ()), tuple(cluster or ()), reason, by, when), progress=progress
        )
    for line in lines:
        say(line)
    say(f"Next: faircam report {folder}, and make every bundle again: faircam bundle {folder} ...")


def keygen(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Private key to write; the public one gets .pub.")],
) -> None:
    """Write a pair of Ed25519 keys to sign bundles with. Keep the private one to yourself."""
    from audit.cli import own
    from audit.console import say

    own("reports")
    from reports.bundle.signature import generate_key

    if path.exists():
        raise InputError("is there already", where=str(path), fix="name another file; a key is never replaced")
    say(f"Wrote {path} (private) and {generate_key(path)}")


def log(
    folder: RunFolder,
    mlflow: Annotated[str, typer.Option("--mlflow", help="Tracking URI.")],
    experiment: Annotated[str, typer.Option("--experiment", help="Name; made if it is missing.")] = "faircam",
) -> None:
    """Log a run to MLflow: its numbers as metrics, its tables and report as artefacts."""
    from audit.cli import own
    from audit.console import say, step
    from audit.run import open_run

    own("reports")
    from reports.mlflow_log import log_run

    with step("logging") as progress:
        progress("metrics, tables and report")
        name = log_run(open_run(folder), mlflow, experiment)
    say(f"MLflow run: {name} in experiment '{experiment}' at {mlflow}")
