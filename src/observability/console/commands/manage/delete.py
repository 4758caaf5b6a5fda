"""`delete`: deletes one trace from the journal."""

import sys
from typing import Annotated

import typer
from termcolor import cprint

from ....journal import Journal
from ...options import AsJson, opened, print_error
from ...queries import traces
from ...render.format import SHORT_ID, how_many
from ...render.layout import paragraph, show, show_json, width
from ...render.tables import traces_table
from .confirmation import Yes, confirm


def delete(
    name: Annotated[str, typer.Argument(metavar="TRACE", help="A trace id, its first digits, or `last`.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete one trace from the journal: its observations, scores and tags. Its cost stays in the totals.

    A copy in Langfuse is kept; the command prints how to delete it.

    Example: python -m src.observability delete 9dbed5bf
    """
    with opened() as journal:
        trace = traces.trace(journal, traces.trace_id_named(journal, name))
        _check_ended(trace)
        if not yes:
            _confirm(journal, trace)
        pages = {label: journal.trace_address(label, trace.id) for label in journal.received_by(trace.id)}
        rows = journal.delete_trace(trace.id)
    if as_json:
        hosts = sorted({label.partition("|")[0] for label in pages})
        show_json({"trace_id": trace.id, "deleted": rows, "also_at": hosts})
    else:
        cprint(f"🧹 Deleted {how_many(rows, 'row')} of trace {trace.id[:SHORT_ID]}", "green")
    for label, page in pages.items():
        _print_deletion_steps(label, page, trace.id)


def _print_deletion_steps(label: str, page: str | None, trace_id: str) -> None:
    host, _, key = label.partition("|")
    cprint(f"⚠️ {host} still has this trace. To delete it there:", "yellow", file=sys.stderr)
    if not key:
        print(paragraph("  ", f"→ delete trace {trace_id} with that backend's own tools"), file=sys.stderr)
        return
    if page is not None:
        print(paragraph("  ", f"→ open {page} and click the bin at the top; or:"), file=sys.stderr)
    print(f'   curl -X DELETE -u "$LANGFUSE_PUBLIC_KEY:$LANGFUSE_SECRET_KEY" {host}/api/public/traces/{trace_id}',
          file=sys.stderr)  # fmt: skip


def _check_ended(trace: traces.Trace) -> None:
    """End the command if an observation of the trace is still running.

    If the trace were deleted now, the end of that observation would later be recorded and recreate the trace.
    """
    if any(row["state"] == "open" for row in trace.observations):
        print_error(f"Trace {trace.id[:SHORT_ID]} is still running", "delete it once it has ended")
        raise typer.Exit(1)


def _confirm(journal: Journal, trace: traces.Trace) -> None:
    show(*traces_table(traces.lines_of(journal, [trace.id]), width()))
    pending = sum(row["state"] == "pending" for row in (*trace.observations, *trace.scores))
    never_sent = f" Not sent yet: {pending:,} of these rows. Deleted rows cannot be sent later." if pending else ""
    rows = how_many(len(trace.observations) + len(trace.scores), "row")
    confirm(f"Delete this trace, {rows}, for good?{never_sent}", "nothing was deleted")
