"""Secrets are masked for every provider, every way by which a text gets out, and every encoding of the secret.

A cell is a label followed by a secret. Wherever a cell is stored, sent or printed, a marker must follow its label. No
form of the secret may stand in the raw bytes of the journal and its WAL, in the requests to Langfuse, or in the output.
The same run with a secret that is the value of no setting checks the search itself: it must find every cell.
"""

import random
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pytest_httpserver import HTTPServer

from src.models.base_model import BaseModel
from src.models.model_factory import ModelFactory
from src.observability import LangFuseTracker, ObservabilityContext, observe_llm, runtime
from tests.langfuse_server import LangfuseServer
from tests.providers.wire import PROVIDERS, WAYS, Provider, ways_of
from tests.redaction.corpus import SECRETS
from tests.redaction.encodings import BLOBS, BREAKS, ENCODINGS, bytes_under, found

OWN = 'Tr4de&Pass/word+1"exch\\ange'  # a secret whose format matches no rule
_PIECE = 50  # characters in a piece of a stream
_RULE_OF = {"claude": "anthropic-key", "gemini": "google-key"}


class Cell(NamedTuple):
    """A secret in one encoding, after a label by which the test finds the secret's place."""

    label: str
    written: str
    rule: str = "own-secret"
    around: tuple[int, int] = (0, 0)  # letters before and after the secret in `written`

    def planted(self, way: str) -> str:
        """Return the label and the encoded secret, as a text that the test gives to a model or an agent."""
        return f"({way}: {self.label}) {self.written} ;"

    def masked(self, way: str) -> str:
        """Return the label and the marker; only the label if the secret is part of a longer encoded text."""
        return f"({way}: {self.label}) " + ("" if any(self.around) else f"[REDACTED:{self.rule}] ;")

    @property
    def core(self) -> str:
        """The part of the encoded secret that must not appear in any output."""
        before, after = self.around
        return self.written[before : len(self.written) - after]


def text_of(cells: Iterable[Cell], way: str) -> str:
    """Return one text with all cells, labelled with the way by which it gets out."""
    return "\n".join(cell.planted(way) for cell in cells)


class Stage:
    """A provider on loopback and its model, which gives the answers that a test sets."""

    def __init__(self, name: str, server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.provider, self.monkeypatch, self._outcome = Provider(name), monkeypatch, "answer"
        server.expect_request(self.provider.recorded["path"], method="POST").respond_with_handler(
            lambda request: self.provider._respond(request, self._outcome)
        )
        self.provider.configure(monkeypatch, server.url_for(""))

    def model(self) -> BaseModel:
        """Return the model, as the factory builds it."""
        model = ModelFactory.create_model(self.provider.name)
        assert model is not None
        return model

    def answers(self, said: str) -> None:
        """Make the provider give this answer, whole or in pieces that cut secrets in two."""
        recorded, self._outcome = Provider(self.provider.name).recorded, "answer"
        events = recorded["stream"]
        spoken = next(at for at, event in enumerate(events) if _saying("", event) != event)
        pieces = [_saying(said[at : at + _PIECE], events[spoken]) for at in range(0, len(said), _PIECE)]
        stream = [*events[:spoken], *pieces, *events[spoken + 1 :]]
        self.provider.recorded |= {"answer": _saying(said, recorded["answer"]), "stream": stream}

    def refuses(self, status: str, said: str) -> None:
        """Make the provider refuse with an error that quotes this text."""
        self._outcome = status
        self.provider.recorded["errors"][status] = {"error": {"message": f"Incorrect API key provided: {said}"}}


def _saying(said: str, event: Any) -> Any:
    """Return a recorded answer or event with this text in place of the model's answer."""
    if isinstance(event, dict):
        return {name: _saying(said, inner) for name, inner in event.items()}
    if isinstance(event, list):
        return [_saying(said, inner) for inner in event]
    return said if isinstance(event, str) and event.startswith("BUY") else event


def cells_of(name: str) -> list[Cell]:
    """Return all planted secrets: `OWN` in every encoding, and a key that is recognized by its format."""
    rule = _RULE_OF.get(name, f"{name}-key")
    key = SECRETS.get(rule, SECRETS["groq-key"])(random.Random(name))
    unseen = "with an invisible character inside"
    cells = [Cell(form, write(OWN)) for form, write in {**ENCODINGS, unseen: BREAKS[unseen]}.items()]
    cells += [Cell(form, write(OWN), around=(12, 4)) for form, write in BLOBS.items()]
    return [*cells, Cell("by shape", key, rule if rule in SECRETS else "groq-key")]


Way = Callable[[Stage, str], None]


def _prompt(stage: Stage, said: str) -> None:
    stage.answers("BUY")
    stage.model().generate_response("You trade", said, temperature=0.3)


def _answer(stage: Stage, said: str) -> None:
    stage.answers(said)
    for way in ways_of(stage.provider.name):
        if "stream" not in way:
            WAYS[way](stage.model(), "You trade", "Longs +80 %")


def _stream(stage: Stage, said: str) -> None:
    stage.answers(said)
    for way in ways_of(stage.provider.name):
        if "stream" in way:
            WAYS[way](stage.model(), "You trade", "Longs +80 %")


def _sdk_exception(stage: Stage, said: str) -> None:
    *ways, last = ways_of(stage.provider.name)
    for way, status in {**dict.fromkeys(ways, "401"), last: "503"}.items():
        stage.refuses(status, said)
        with pytest.raises(Exception, match="503") if status == "503" else nullcontext():
            WAYS[way](stage.model(), "You trade", "Longs +80 %")


def _exception(_: Stage, said: str) -> None:
    @observe_llm
    def fails() -> None:
        raise ConnectionError(f"refused: {said}")

    with pytest.raises(ConnectionError):
        fails()


def _tool_arguments(stage: Stage, said: str) -> None:
    @observe_llm(as_type="tool")
    def order(symbol: str, **arguments: Any) -> str:
        return "filled"

    order("BTC", headers=[("note", said)])
    stage.answers("BUY")
    stage.model().generate_response("You trade", "Longs", tools=[{"type": "function", "description": said}])


def _metadata(_: Stage, said: str) -> None:
    ObservabilityContext.add_agent_metadata("trading", "Agent", note=said, **{said: 1})


def _tags(_: Stage, said: str) -> None:
    ObservabilityContext.add_trading_signal(said, 85, "an action that is none is no tag")


def _signal_reasoning(_: Stage, said: str) -> None:
    ObservabilityContext.add_trading_signal("BUY", 85, said, symbol="BTC")


def _error_context(_: Stage, said: str) -> None:
    ObservabilityContext.add_error(ValueError("refused"), {"request": {"body": said}})


def _score_comment(_: Stage, said: str) -> None:
    trace = ObservabilityContext.current_trace_id()
    ObservabilityContext.record_outcome(str(trace), pnl_usd=1.5, note=said)


def _session_id(stage: Stage, said: str) -> None:
    for cell in said.split(" ;\n"):  # a session id is cut to 200 characters, so it can hold only one cell
        stage.monkeypatch.setenv("LANGFUSE_SESSION_ID", f"{cell.removesuffix(' ;')} ;")
        observe_llm(lambda: "BUY")()
        assert runtime.running().recorder.flush(5)


WAYS_OUT: dict[str, Way] = {
    "prompt": _prompt, "success": _answer, "stream": _stream, "exception": _exception,
    "tool arguments": _tool_arguments, "metadata": _metadata, "tags": _tags, "signal reasoning": _signal_reasoning,
    "error context": _error_context, "score comment": _score_comment, "SDK exception": _sdk_exception,
    "session id": _session_id,  # must be last: a row takes the session id set when the row is written
}  # fmt: skip
PRINTED = ("SDK exception",)


class Traces(NamedTuple):
    """The bytes of everything that a run stores, sends or prints."""

    files: bytes  # of the journal's files, with the WAL
    rows: bytes  # of the journal's texts, read by SQL: in the files, a secret may be split between two pages
    sent: bytes
    printed: bytes

    def ways_to(self, where: str) -> Iterable[str]:
        """Return the entries of `WAYS_OUT` whose cells must be found in this output."""
        return {"files": (), "rows": WAYS_OUT, "sent": WAYS_OUT, "printed": PRINTED}[where]


def _texts_of(journal: Path) -> bytes:
    """Return every text of every table."""
    with sqlite3.connect(journal) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [row for table in tables for row in database.execute(f"SELECT * FROM {table}")]
    database.close()
    return "\n".join(value for row in rows for value in row if isinstance(value, str)).encode()


@pytest.fixture
def run(
    langfuse: LangfuseServer, httpserver: HTTPServer, journal: Any, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> Callable[[str, str | None], tuple[list[Cell], Traces]]:  # fmt: skip
    """Return a function that writes one provider's cells by all `WAYS_OUT`, and returns the cells and all output."""
    monkeypatch.setenv("AI_MAX_RETRIES", "0")

    def run(name: str, variable: str | None) -> tuple[list[Cell], Traces]:
        stage, cells = Stage(name, httpserver, monkeypatch), cells_of(name)
        if variable:
            monkeypatch.setenv(stage.provider.recorded["key_name"] or variable, OWN)
        with ObservabilityContext.agent_cycle("MatrixAgent"):
            for way, leave in WAYS_OUT.items():
                leave(stage, text_of(cells, way))
        LangFuseTracker().flush(10)
        assert Path(f"{journal.path}-wal").stat().st_size, "there is no WAL to search"
        files = bytes_under(journal.path.parent)
        runtime.close()
        files += bytes_under(journal.path.parent)
        printed = "".join(capfd.readouterr()).encode()
        return cells, Traces(files, _texts_of(journal.path), b"\n".join(langfuse.raw), printed)

    return run


EACH_PROVIDER = [pytest.param(name, marks=() if name == "claude" else pytest.mark.slow) for name in PROVIDERS]


@pytest.mark.slow
@pytest.mark.parametrize("name", EACH_PROVIDER)
def test_no_secret_leaves_by_any_way_in_any_encoding(name: str, run: Any) -> None:
    """Two secrets are masked in all output: one by its format, the other as the value of an environment variable."""
    cells, traces = run(name, "EXCHANGE_API_SECRET")
    for where, what in traces._asdict().items():
        assert not [cell.label for cell in cells if found([cell.core], what)], f"they are in the {where}"
        masked = [cell.masked(way) for way in traces.ways_to(where) for cell in cells]
        unescaped = what.replace(b"\\", b"")  # redaction may leave the backslashes of an escape
        assert not [each for each in masked if each.encode() not in unescaped], f"they are not in the {where}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["claude", "openai"])
def test_the_search_finds_every_cell_of_a_secret_that_nobody_told_us_of(name: str, run: Any) -> None:
    """If no environment variable holds `OWN`, `OWN` is not masked. The search finds all its cells: it can see leaks."""
    cells, traces = run(name, None)
    unknown = [cell for cell in cells if cell.rule == "own-secret"]
    for where, what in traces._asdict().items():
        planted = [cell.planted(way) for way in traces.ways_to(where) for cell in unknown]
        assert found(planted, what) == planted, where
    cores = [cell.core for cell in unknown]
    assert found(cores, traces.files) == cores
