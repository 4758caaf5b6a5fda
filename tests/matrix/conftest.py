"""Each test has its own journal. `run.py` passes `--confcutdir tests/matrix`, so only this conftest.py is loaded."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificate import one_certificate

os.environ["PYTHON_DOTENV_DISABLED"] = "1"
logging.getLogger("werkzeug").setLevel(logging.ERROR)


@pytest.fixture(autouse=True)
def _own_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from src.observability import internal_errors, runtime, settings

    for name in [name for name in os.environ if name.startswith(("LANGFUSE", "OBSERVABILITY", "ENABLE_LANGFUSE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OBSERVABILITY_JOURNAL", str(tmp_path / "journal.db"))
    monkeypatch.setenv("OBSERVABILITY_INFER_SIGNALS", "false")  # an inferred signal would be a second row
    monkeypatch.setattr(internal_errors, "strict", True)
    settings.forget()
    yield
    runtime.close()
    assert internal_errors.failures.total == 0, internal_errors.failures.last


@pytest.fixture(autouse=True)
def _few_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(one_certificate(tmp_path)))


@pytest.fixture(scope="session")
def _new_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from src.observability.journal import Journal

    path = tmp_path_factory.mktemp("new") / "journal.db"
    Journal(path).close()
    return path


@pytest.fixture
def rows(tmp_path: Path, _new_journal: Path) -> Callable[[], list[dict[str, Any]]]:
    """Return a function that flushes the recorder and returns the journal's rows. The test gets a copy of an empty
    journal, because creating one takes longer than most tests."""
    shutil.copy(_new_journal, tmp_path / "journal.db")

    def read() -> list[dict[str, Any]]:
        from src.observability import runtime
        from src.observability.journal import Journal

        assert runtime.running().recorder.flush(20)
        journal = Journal(tmp_path / "journal.db", create=False)
        try:
            return journal.observations()
        finally:
            journal.close()

    return read
