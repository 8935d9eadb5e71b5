"""The Compliance page: clauses and their claims, statements written and read back, the bundle made and verified."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from audit.errors import RunError
from audit.run import open_run
from audit.run.claims import CLAIM_KEYS, claims_of
from audit.run.statements import REQUIRED_STATEMENTS, add_statement, read_statements
from dashboard import places
from dashboard.compliance import bundle as bundling
from dashboard.compliance import work as working
from dashboard.pages import PAGES
from reports.bundle.packs import known_packs, load_pack
from tests.dashboard.test_pages import texts

OpenApp = Callable[..., Any]
TODAY = datetime.now(UTC).date()


@pytest.fixture
def own(runs: Path, tmp_path: Path) -> Path:
    """A folder with a copy of the sample run, to write into."""
    shutil.copytree(runs / "sample", tmp_path / "sample")
    return tmp_path


def failing(folder: Path) -> str:
    findings = open_run(folder / "sample").table("findings")
    return claims_of("findings", findings[findings["verdict"] == "fail"])[0]


def said(app: Any) -> str:
    return texts(app).replace("\\", "").replace("\N{WORD JOINER}", "")


def press(app: Any, label: str) -> Any:
    return next(item for item in app.button if item.label == label).click().run()


def test_every_pack_is_counted_and_said_to_be_confirmed_by_nobody(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "compliance", run="sample")
    table = app.dataframe[0].value.set_index("pack")
    assert len(table) == len(known_packs())
    for name in known_packs():
        pack = load_pack(name)
        counted = table.loc[pack.title, ["evidence present", "input missing", "not applicable"]]
        assert int(counted.sum()) == len(pack.clauses)
    assert "nobody has confirmed this pack" in said(app).lower()


def test_every_clause_stands_with_its_state(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "compliance", run="sample", pack="eu-ai-act")
    labels = [item.label.replace("\\", "") for item in app.expander]
    for clause in load_pack("eu-ai-act").clauses:
        label = next(label for label in labels if label.startswith(f"**{clause.id}**"))
        assert clause.title in label
        assert any(state in label for state in ("evidence present", "input missing", "not applicable"))


def test_open_clause_shows_dates_what_is_missing_and_claims_with_their_numbers(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "compliance", run="sample", pack="eu-ai-act", clause="Art. 15")
    assert "Not yet in force until 2027-12-02 for high-risk systems of Annex III" in said(app)
    assert "Which attacks and faults was the system tested against" in said(app)
    shown = next(item.value for item in app.dataframe if "claim" in item.value.columns)
    groups = open_run(runs / "sample").table("groups").assign(claim=lambda rows: claims_of("groups", rows))
    wanted = groups[groups["metric"] == "accuracy"].set_index("claim")
    for row in shown[shown["claim"].str.startswith("groups:")].itertuples():
        assert row.value == pytest.approx(wanted.loc[row.claim, "value"])
        assert row.low == pytest.approx(wanted.loc[row.claim, "low"])
        assert row.n == wanted.loc[row.claim, "n"]
    assert len(shown) > 3
    links = [item.proto for item in app.get("page_link")]
    assert any(link.page.endswith("fairness") and "claim=groups" in link.query_string for link in links)


def test_closed_clauses_read_nothing(runs: Path, open_app: OpenApp) -> None:
    app = open_app(runs, "compliance", run="sample", pack="eu-ai-act")
    assert len(app.dataframe) == 1


@pytest.mark.parametrize("table", list(CLAIM_KEYS))
def test_every_claim_has_a_view_that_exists(runs: Path, table: str) -> None:
    run = open_run(runs / "sample")
    if not run.has(table) or run.table(table).empty:
        pytest.skip("the sample run holds no such table")
    for claim in claims_of(table, run.table(table).head(5)):
        place = places.claim_place(run, claim)
        assert place is not None or table == "findings"
        assert place is None or place.page in PAGES


def test_claim_of_a_cell_leads_to_that_cell(runs: Path) -> None:
    place = places.claim_place(open_run(runs / "sample"), "groups:biased-torch:tone:tone-4:accuracy:")
    assert place is not None
    query = {"model": "biased-torch", "attribute": "tone", "metric": "accuracy", "class": "(none)", "view": "groups"}
    assert (place.page, place.query) == ("fairness", query)
    assert places.claim_place(open_run(runs / "sample"), "nonsense") is None


def fill(app: Any, text: str, author: str = "Ana Ruiz", role: str = "reviewer") -> None:
    app.text_input(key="say_author").set_value(author)
    app.text_input(key="say_role").set_value(role)
    app.text_area[0].set_value(text)


def test_missing_statements_are_listed_with_their_questions(own: Path, open_app: OpenApp) -> None:
    add_statement(open_run(own / "sample"), kind="statement", about="oversight", author="a", role="b", text="c")
    app = open_app(own, "compliance", run="sample", compliance="statements")
    for name, question in REQUIRED_STATEMENTS.items():
        assert (f"○ {question}" in said(app)) == (name != "oversight")


def test_statement_is_written_and_read_back(own: Path, open_app: OpenApp) -> None:
    app = open_app(own, "compliance", run="sample", compliance="statements", about="intended_purpose")
    fill(app, "Counts crosses in drawings.")
    press(app, "Add to the log")
    entry = read_statements(open_run(own / "sample"))[-1]
    assert (entry.kind, entry.about, entry.author) == ("statement", "intended_purpose", "Ana Ruiz")
    assert (entry.role, entry.text) == ("reviewer", "Counts crosses in drawings.")
    assert "Added as entry 0001" in app.success[0].value
    assert app.text_area[0].value == ""
    shown = app.dataframe[0].value
    assert shown["text"].tolist() == ["Counts crosses in drawings."]
    assert entry.sha256 in said(app)


def test_what_is_empty_is_said_and_nothing_is_lost(own: Path, open_app: OpenApp) -> None:
    app = open_app(own, "compliance", run="sample", compliance="statements", about="oversight")
    fill(app, "A person looks at each.", author=" ", role="")
    press(app, "Add to the log")
    assert app.error[0].value == "Nothing was added: author, role are empty."
    assert app.text_area[0].value == "A person looks at each."
    assert read_statements(open_run(own / "sample")) == ()


def test_link_from_a_finding_opens_the_form_with_the_claim(own: Path, open_app: OpenApp) -> None:
    claim = failing(own)
    app = open_app(own, "compliance", run="sample", claim=claim)
    assert app.selectbox(key="about").value == claim
    app.query_params["kind"] = "waiver"
    app.run()
    fill(app, "Known; the drawings are replaced in May.")
    press(app, "Add to the log")
    entry = read_statements(open_run(own / "sample"))[-1]
    assert (entry.kind, entry.about) == ("waiver", claim)
    assert entry.expires == (TODAY + timedelta(days=90)).isoformat()
    assert f"in force until {entry.expires}" in said(app)
    assert "Without it the verdict is fail" in said(app)


def test_no_waiver_is_offered_but_for_a_finding(own: Path, open_app: OpenApp) -> None:
    app = open_app(own, "compliance", run="sample", compliance="statements", about="oversight", kind="waiver")
    assert any("waiver" in item.value for item in app.warning)
    assert app.query_params["kind"] == "statement"


def test_bundle_takes_no_statement(own: Path, open_app: OpenApp) -> None:
    file = own / "sample" / "run.json"
    record = json.loads(file.read_text(encoding="utf-8")) | {"disclosure": {"level": "auditor"}}
    file.write_text(json.dumps(record), encoding="utf-8")
    app = open_app(own, "compliance", run="sample", compliance="statements")
    assert "which is sealed" in said(app)
    assert not app.text_area


def test_changed_log_is_said_and_takes_no_entry(own: Path, open_app: OpenApp) -> None:
    run = open_run(own / "sample")
    add_statement(run, kind="statement", about="oversight", author="a", role="b", text="first")
    log = run.path / "statements.jsonl"
    log.write_text(log.read_text(encoding="utf-8").replace("first", "other"), encoding="utf-8")
    app = open_app(own, "compliance", run="sample", compliance="statements", about="intended_purpose")
    assert any("was changed" in item.value for item in app.error)
    fill(app, "x")
    press(app, "Add to the log")
    assert any("was changed" in item.value for item in app.error)
    assert len(log.read_text(encoding="utf-8").splitlines()) == 1


def test_author_of_a_shared_deployment_is_the_login(
    own: Path, tmp_path: Path, open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streamlit.testing.v1 import AppTest

    from dashboard.access import ALLOW_LIST_VARIABLE
    from dashboard.server import RUNS_VARIABLE
    from tests.dashboard.conftest import APP

    (tmp_path / "people.txt").write_text("ana@example.org", encoding="utf-8")
    monkeypatch.setenv(ALLOW_LIST_VARIABLE, str(tmp_path / "people.txt"))
    monkeypatch.setenv(RUNS_VARIABLE, str(own))
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.user = {"is_logged_in": True, "email": "Ana@Example.org", "name": "The Director"}
    app.run()
    query = {"run": "sample", "compliance": "statements", "about": "oversight"}
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page("views/compliance.py").run()
    assert app.text_input(key="say_login").disabled
    app.text_input(key="say_role").set_value("reviewer")
    app.text_area[0].set_value("A person looks at each.")
    press(app, "Add to the log")
    assert read_statements(open_run(own / "sample"))[-1].author == "ana@example.org"
    app.query_params["compliance"] = "bundle"
    app.run()
    assert not [item for item in app.text_input if item.label.startswith("Folder")], "nothing is written but the log"


def test_two_reviewers_at_once_lose_nothing(own: Path) -> None:
    run = open_run(own / "sample")

    def write(author: str) -> None:
        for number in range(10):
            add_statement(run, kind="note", about="oversight", author=author, role="r", text=f"{author} {number}")

    threads = [threading.Thread(target=write, args=(name,)) for name in ("ana", "bo")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = read_statements(run)
    for name in ("ana", "bo"):
        assert [entry.text for entry in entries if entry.author == name] == [f"{name} {n}" for n in range(10)]


def made_up(asked: dict[str, Any], progress: Callable[[str], None]) -> Any:
    """Stands in for the job, which takes longer; the browser's test does the real one."""
    progress("tables")
    if asked["task"] == "bundle":
        Path(asked["out"]).write_bytes(b"zip")
        return ["every row on a single image", asked["level"], *asked["packs"]]
    checks = [{"name": "files", "said": "3 files", "problems": ["report.html was changed"], "unseen": ["who made it"]}]
    return {"what": "bundle", "intact": False, "checks": checks}


def test_bundle_is_made_shown_and_verified(own: Path, open_app: OpenApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundling, "work", made_up)
    app = open_app(own, "compliance", run="sample", compliance="bundle", level="public", packs="fda-gmlp")
    press(app, "Make the bundle")
    assert "every row on a single image" in said(app)
    assert "level public, not signed" in said(app)
    assert [item.value for item in app.text if item.value in known_packs()] == ["fda-gmlp"]
    file = next(item for item in app.download_button if item.label == "Download the bundle")
    assert file.proto.id
    press(app, "Verify it")
    assert app.error[0].value == "MODIFIED, or not whole."
    assert "✗ files: 3 files" in said(app)
    assert "✗ report.html was changed" in said(app)
    assert "Not seen: who made it" in said(app)


def test_job_that_fails_says_why_and_leaves_nothing(own: Path) -> None:
    asked = {"task": "bundle", "run": str(own / "sample"), "out": str(own / "x.zip"), "level": "secret"}
    asked |= {"day": "2026-02-01", "packs": [], "threshold": 10, "sex": None, "race": None}
    with pytest.raises(RunError, match="disclosure level 'secret' is unknown"):
        working.work(asked, lambda _: None)
    assert sorted(path.name for path in own.iterdir()) == ["sample"]


def test_job_ends_with_the_page_that_waited_and_leaves_nothing(own: Path) -> None:
    asked = {"task": "bundle", "run": str(own / "sample"), "out": str(own / "x"), "level": "internal"}
    asked |= {"day": "2026-02-01", "packs": [], "threshold": 10, "sex": None, "race": None}

    class GoneError(Exception):
        pass

    def leave(step: str) -> None:
        raise GoneError

    with pytest.raises(GoneError):
        working.work(asked, leave)
    assert sorted(path.name for path in own.iterdir()) == ["sample"]


def test_one_job_at_a_time(own: Path) -> None:
    with working._ONE_AT_A_TIME, pytest.raises(RunError, match="another bundle"):
        working.work({"task": "verify", "path": str(own / "sample")}, lambda _: None)


def test_folder_inside_the_run_is_refused(own: Path, open_app: OpenApp) -> None:
    app = open_app(own, "compliance", run="sample", compliance="bundle", **{"bundle-as": "folder"})
    field = next(item for item in app.text_input if item.label.startswith("Folder"))
    for path, why in ((own / "sample" / "x", "lies inside the run"), (Path("x"), "not a whole path")):
        field.set_value(str(path)).run()
        press(app, "Make the bundle")
        assert why in app.error[0].value.replace("\\", "")
        field = next(item for item in app.text_input if item.label.startswith("Folder"))
    assert sorted(path.name for path in own.iterdir()) == ["sample"]


def test_finding_stays_under_review_from_page_to_page(runs: Path, open_app: OpenApp) -> None:
    claim = failing(runs)
    app = open_app(runs, "fairness", run="sample", claim=claim)
    links = {item.proto.label.replace("\\", ""): item.proto.query_string for item in app.get("page_link")}
    steps = {"Its cell", "Images behind it", "Statement or waiver", "Bundle"}
    assert steps <= set(links)
    assert all("claim=findings" in links[name] for name in steps)
    assert app.query_params["claim"] == claim
    app.switch_page("views/provenance.py").run()
    assert app.query_params["claim"] == claim
    press(app, "Close")
    assert "claim" not in app.query_params
    assert not {"Its cell"} & {item.proto.label.replace("\\", "") for item in app.get("page_link")}


@pytest.mark.parametrize(
    "claim", ["findings:biased-torch:no-such-rule", "findings:too:many:parts:here", "findings:", "x"]
)
def test_claim_that_does_not_exist_is_said(runs: Path, open_app: OpenApp, claim: str) -> None:
    app = open_app(runs, "fairness", run="sample", claim=claim)
    assert not app.error
    assert ("which is not in this run" in texts(app)) == claim.startswith("findings:")


def test_day_of_the_clauses_is_today(runs: Path) -> None:
    from dashboard.compliance import held

    pack = held.packs(open_run(runs / "sample"), date(2029, 1, 1))["eu-ai-act"]
    art = next(clause for clause in pack["clauses"] if clause["id"] == "Art. 15")
    assert "in force since 2027-12-02" in art["force"]


def test_number_of_a_claim_is_the_row_s(runs: Path) -> None:
    from dashboard.compliance import held

    run = open_run(runs / "sample")
    gaps = run.table("gaps")
    claim = claims_of("gaps", gaps)[3]
    row, found = gaps.iloc[3], held.resolve(run, [claim, "gaps:of:nothing:at:all"])
    assert found["value"][0] == pytest.approx(row["value"])
    assert pd.isna(found["value"][1])
