"""`delete` and `prune` print what they will delete, and ask; deleted text is no longer in the journal's file."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from src.observability import settings
from src.observability.console.app import app
from src.observability.journal.store import Journal
from tests.console.cycles import one_cycle
from tests.console.printed import json_lines

pytestmark = pytest.mark.filled(20)


def run(command: str, answer: str = "") -> Result:
    """Run a command in a pipe of 80 columns, with `answer` as the operator's input."""
    return CliRunner().invoke(app, command.split(), input=answer, env={"COLUMNS": "80"})


def traces() -> dict[str, int]:
    """Return the number of rows of each remaining trace: observations, scores and tags."""
    journal = Journal(settings.journal_path(), create=False)
    tables = " UNION ALL ".join(f"SELECT trace_id FROM {table}" for table in ("observations", "scores", "trace_tags"))
    rows = journal.select(f"SELECT trace_id, count(*) AS number FROM ({tables}) GROUP BY trace_id")
    journal.close()
    return {row["trace_id"]: row["number"] for row in rows}


def test_delete_deletes_one_trace(filled: Journal) -> None:
    """`delete` asks first; after a yes it deletes only this trace's rows, and the trace's cost stays in the totals."""
    before, spent = traces(), json_lines("costs --by model")
    trace_id = next(iter(before))
    for answer, message in (("", "No confirmation (no terminal): nothing was deleted"), ("n\n", "Nothing was deleted")):
        result = run(f"delete {trace_id[:10]}", answer)
        assert (result.exit_code, message in result.stderr) == (1, True)
        assert f"  {trace_id[:8]}  " in result.stdout
        assert "Delete this trace, 5 rows, for good?" in result.stderr
    assert traces() == before
    result = run(f"delete {trace_id}", "y\n")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, f"🧹 Deleted 5 rows of trace {trace_id[:8]}")
    assert traces() == {other: rows for other, rows in before.items() if other != trace_id}
    assert [group["cost_usd"] for group in json_lines("costs --by model")] == [group["cost_usd"] for group in spent]
    assert "No trace id starts with" in run(f"delete {trace_id}").stderr


def test_what_was_deleted_is_not_in_the_file(filled: Journal) -> None:
    """Freed pages are overwritten, then cut off: neither the database nor its write-ahead log has the deleted text."""
    secret = "halibut in the vault"
    (row,) = filled.select("SELECT seq, trace_id FROM observations WHERE type = 'generation' ORDER BY seq LIMIT 1")
    filled.change("UPDATE observations SET input = ? WHERE seq = ?", (json.dumps([secret * 500]), row["seq"]))
    filled.close()
    path = settings.journal_path()
    assert secret.encode() in path.read_bytes()
    assert run(f"delete {row['trace_id']} --yes").exit_code == 0
    for file in path.parent.glob("journal.db*"):
        assert secret.encode() not in file.read_bytes(), file
    assert filled.select("PRAGMA freelist_count") == [{"freelist_count": 0}]


def test_delete_says_where_else_the_trace_is(filled: Journal) -> None:
    """`delete` prints each host that received the trace, the trace's address there, and a curl command to delete it."""
    trace_id = next(iter(traces()))
    label = "https://langfuse.example.com|pk-lf-0123456789"
    filled.change("UPDATE observations SET state = 'shipped', destination = ? WHERE trace_id = ?", (label, trace_id))
    filled.keep_project(label, "cm1")
    result = run(f"delete {trace_id} --yes --json")
    assert json.loads(result.stdout) == {
        "trace_id": trace_id, "deleted": 5, "also_at": ["https://langfuse.example.com"],
    }  # fmt: skip
    assert f"https://langfuse.example.com/project/cm1/traces/{trace_id}" in result.stderr.replace("\n   ", " ")
    assert "curl -X DELETE -u" in result.stderr
    assert f"https://langfuse.example.com/api/public/traces/{trace_id}" in result.stderr


def test_what_waits_for_langfuse_is_deleted_with_a_warning(filled: Journal) -> None:
    """Before `delete` removes pending rows, its question states how many rows would never be sent."""
    trace_id = next(iter(traces()))
    filled.change("UPDATE observations SET state = 'pending', destination = 'h|k' WHERE trace_id = ?", (trace_id,))
    assert "Not sent yet: 3 of these rows. Deleted rows" in run(f"delete {trace_id}", "y\n").stderr
    assert trace_id not in traces()


def test_a_trace_that_still_runs_is_not_deleted(filled: Journal) -> None:
    """Deletion of a running trace is refused: the end of the trace would record it again."""
    filled.change("UPDATE observations SET state = 'open' WHERE seq = 1")
    (row,) = filled.select("SELECT trace_id FROM observations WHERE seq = 1")
    before = traces()
    result = run(f"delete {row['trace_id']} --yes")
    assert (result.exit_code, "is still running" in result.stderr) == (1, True)
    assert traces() == before


def test_prune_asks(filled: Journal) -> None:
    """`prune` prints on stderr what it will delete, then asks. Without a terminal the answer is no."""
    before = traces()
    for answer in ("", "n\n"):
        result = run("prune --older-than 1h", answer)
        assert (result.exit_code, "🧹" in result.stdout) == (1, False)
        assert "🧹 Would delete 60 observations from before " in result.stderr
        assert "60 local" in result.stderr
    assert traces() == before
    assert "🧹 Deleted 60 observations" in run("prune --older-than 1h", "y\n").stdout
    assert traces() == {}
    assert run("prune --older-than 1h").exit_code == 0  # no rows, so no question


def test_prune_of_all_leaves_what_is_to_be_sent(filled: Journal, journal: Any) -> None:
    """`prune --older-than all` deletes every row except pending rows."""
    one_cycle()
    journal.observations()
    filled.change("UPDATE observations SET state = 'pending', destination = 'h|k' WHERE seq = 1")
    kept = filled.select("SELECT trace_id FROM observations WHERE seq = 1")[0]["trace_id"]
    assert run("prune --older-than all --yes").exit_code == 0
    assert list(traces()) == [kept]
