"""The recorder's queue and thread: no caller waits long, even if the journal is slow, locked or broken."""

import ctypes
import importlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from src.observability import LangFuseTracker, internal_errors, runtime, settings
from src.observability.recording import memory, recorder
from src.observability.recording.recorder import Recorder
from src.observability.tracing.observation import Observation
from tests.calls import ask
from tests.tracing.alarms import alarms, line_of_alarm


class Disk:
    """Stands in for the journal: keeps the observations that it gets, and fails on request."""

    def __init__(self) -> None:
        self.written: list[Observation] = []
        self.error: BaseException | None = None
        self.open = threading.Event()
        self.open.set()
        self.closed = 0

    def write(self, opened: list[Observation], ended: list[Observation]) -> None:
        """Keep the observations, unless `error` is set."""
        self.open.wait()
        if self.error is not None:
            raise self.error
        self.written += ended

    def idle(self, *, after_backlog: bool) -> None:
        """Do nothing: this sink has no idle work."""

    def close(self) -> None:
        """Count how often the recorder closes this sink."""
        self.closed += 1

    def abandon(self) -> None:
        """Do nothing: this sink holds no resource."""


@pytest.fixture
def disk() -> Disk:
    """The sink of the recorder under test."""
    return Disk()


@pytest.fixture
def over(disk: Disk) -> Iterator[Recorder]:
    """Yield a recorder that writes to `disk`."""
    recorder = Recorder(lambda: disk)
    yield recorder
    disk.error = None
    disk.open.set()
    recorder.stop(5)


def ended(size: int = 10) -> Observation:
    """Return an observation that has ended, as a caller's thread passes it to the recorder."""
    observation = Observation("llm_generation", "generation")
    observation.ended, observation.output, observation.size = time.perf_counter_ns(), "x" * size, size
    return observation


def seconds_of(what: Callable[[], Any]) -> float:
    """Return how many seconds a call of `what` takes."""
    began = time.monotonic()
    what()
    return time.monotonic() - began


def wait_until(what: Callable[[], bool]) -> None:
    """Poll until another thread has made a condition true."""
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline, "not within its time"
        time.sleep(0.005)


@pytest.mark.failures_expected
@pytest.mark.parametrize(("limit", "value", "size"), [("MAX_QUEUED", 100, 1), ("MAX_QUEUED_BYTES", 1000, 10)])
def test_a_full_queue_drops_what_comes_and_counts_it(
    limit: str, value: int, size: int, disk: Disk, over: Recorder, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the queue is full, a caller waits 50 ms, then drops its observation; the loss is reported once."""
    monkeypatch.setattr(recorder, limit, value)
    disk.open.clear()
    over.on_end(ended(size))
    wait_until(lambda: over.waiting == 1 and not over._queue)
    for _ in range(100):
        over.on_end(ended(size))
    assert 0.04 < seconds_of(lambda: over.on_end(ended(size))) < 0.5
    over.on_end(ended(size))
    assert (over.dropped, over.waiting) == (2, 101)
    disk.open.set()
    assert over.flush(5)
    assert (len(disk.written), over.journalled, over.dropped) == (101, 101, 2)
    assert capsys.readouterr().err.count("the recorder cannot keep up") == 1


def test_a_caller_waits_for_room(disk: Disk, over: Recorder, monkeypatch: Any) -> None:
    """If a full queue gets room while the caller waits, the caller's observation is recorded."""
    monkeypatch.setattr(recorder, "MAX_QUEUED", 10)
    monkeypatch.setattr(recorder, "MAX_WAIT_SECONDS", 5.0)
    disk.open.clear()
    over.on_end(ended())
    wait_until(lambda: over.waiting == 1 and not over._queue)
    for _ in range(10):
        over.on_end(ended())
    threading.Timer(0.01, disk.open.set).start()
    over.on_end(ended())
    assert over.flush(5)
    assert (len(disk.written), over.dropped) == (12, 0)


@pytest.mark.failures_expected
def test_a_caller_does_not_wait_for_a_disk_that_fails(disk: Disk, over: Recorder, monkeypatch: Any) -> None:
    """While the journal cannot be written, a full queue drops new observations at once: waiting would be useless."""
    monkeypatch.setattr(recorder, "MAX_QUEUED", 10)
    disk.error = OSError("No space left on device")
    over.on_end(ended())
    wait_until(lambda: over._failing)
    for _ in range(10):
        over.on_end(ended())
    assert seconds_of(lambda: [over.on_end(ended()) for _ in range(100)]) < 0.04
    assert over.dropped == 100
    for _ in range(50):
        over.on_start(Observation("llm_generation", "generation"))
    assert len(over._queue) == 10
    disk.error = None
    assert over.flush(5)
    assert over.journalled == len(disk.written) == 11


@pytest.mark.failures_expected
def test_what_cannot_be_written_at_the_end_is_counted(
    disk: Disk, over: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """`stop` tries once more to write the queue; if that fails, it prints the number of lost observations."""
    disk.error = OSError("No space left on device")
    for _ in range(700):
        over.on_end(ended())
    wait_until(lambda: over._failing)
    assert seconds_of(lambda: over.stop(10)) < 2
    assert (over.dropped, over.waiting, over.journalled) == (700, 0, 0)
    assert "observations are lost: 700" in capsys.readouterr().err


@pytest.mark.failures_expected
def test_a_disk_that_hangs_at_the_end_is_not_waited_for(disk: Disk, over: Recorder) -> None:
    """If the journal is not written in time, `stop` returns False, and all observations are counted as lost."""
    disk.open.clear()
    for _ in range(60):
        over.on_end(ended())
    began = time.monotonic()
    assert not over.stop(0.05)
    assert time.monotonic() - began < 1
    assert over.dropped == 60


@pytest.mark.failures_expected
def test_our_own_mistake_costs_one_batch(disk: Disk, over: Recorder) -> None:
    """Only an OSError is retried: a batch with another error is dropped, and later batches are written."""
    disk.error = TypeError("our mistake")
    over.on_end(ended())
    wait_until(lambda: over.dropped == 1)
    disk.error = None
    over.on_end(ended())
    assert over.flush(5)
    assert (over.journalled, over.dropped) == (1, 1)


@pytest.mark.failures_expected
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_nothing_that_an_answer_raises_ends_the_thread(
    error: type[BaseException], disk: Disk, over: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """An answer whose property raises SystemExit or the like costs one batch, which is counted and reported."""
    disk.error = error("of an answer")
    over.on_end(ended())
    wait_until(lambda: over.dropped == 1)
    disk.error = None
    over.on_end(ended())
    assert over.flush(5)
    assert (over.journalled, over.dropped) == (1, 1)
    assert f"{error.__name__}: of an answer" in capsys.readouterr().err


@pytest.mark.failures_expected
def test_a_thread_that_ends_is_begun_again_by_the_next_call(
    disk: Disk, over: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the recorder's thread is killed, one line reports it; the next call restarts the thread, and is recorded."""
    over.on_end(ended())
    assert over.flush(5)
    kill_thread(over)
    assert "the recorder's thread ended (SystemExit" in (internal_errors.failures.last or "")
    assert "The next call restarts the thread" in capsys.readouterr().err
    over.on_end(ended())
    assert over.flush(5)
    assert over.journalled == 2
    disk.error = OSError("No space left on device")
    over.on_end(ended())
    wait_until(lambda: over._failing)
    kill_thread(over)
    assert (over.dropped, over.waiting) == (1, 0)  # the observation that was being written


def kill_thread(over: Recorder) -> None:
    """Raise SystemExit in the recorder's thread, and wait for its end."""
    thread = over._thread
    assert thread is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
    over._wake.set()
    wait_until(lambda: not thread.is_alive())


@pytest.mark.slow
@pytest.mark.failures_expected
@pytest.mark.parametrize("fails", ["no thread", "no descriptor", "no module"])
def test_what_cannot_start_yet_starts_later(
    fails: str, disk: Disk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While recording cannot start, calls are queued. Half a second after a failed start, a call or a flush tries
    again."""
    errors = {
        "no thread": RuntimeError("can't start new thread"),
        "no descriptor": OSError(24, "Too many open files"),
        "no module": ImportError("cannot import name 'half'"),
    }
    at_the_limit = threading.Event()
    at_the_limit.set()
    start = threading.Thread.start

    def sink() -> Disk:
        if at_the_limit.is_set() and fails != "no thread":
            raise errors[fails]
        return disk

    def start_within_the_limit(thread: threading.Thread) -> None:
        if at_the_limit.is_set():
            raise errors["no thread"]
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_within_the_limit)
    recorder = Recorder(sink)
    for _ in range(5):
        recorder.on_end(ended())
    assert not recorder.flush(0.2)
    assert capsys.readouterr().err.count("recording cannot start now") == 1
    at_the_limit.clear()
    time.sleep(0.55)
    if fails != "no module":
        recorder.on_end(ended())
    assert recorder.flush(5)
    assert len(disk.written) == (5 if fails == "no module" else 6)
    assert recorder.stop(5)


@pytest.mark.slow
@pytest.mark.failures_expected
def test_sync_waits_a_second_for_a_disk_and_only_once(
    disk: Disk, over: Recorder, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `sync`, while the disk hangs, only the first of 51 calls waits; all 51 are counted as failures of `sync`."""
    monkeypatch.setattr(recorder, "SYNC_SECONDS", 0.2)
    disk.open.clear()

    def durable() -> Observation:
        observation = ended()
        observation.durable = True
        return observation

    assert 0.15 < seconds_of(lambda: over.on_end(durable())) < 1
    assert seconds_of(lambda: [over.on_end(durable()) for _ in range(50)]) < 0.2
    assert internal_errors.failures._counts["sync"] == 51
    assert capsys.readouterr().err.count("a call returned before its row was on disk") == 1
    disk.open.set()
    wait_until(lambda: len(disk.written) == 51 and not over.waiting)
    over.on_end(durable())
    assert len(disk.written) == 52


def test_what_comes_after_the_end_is_written_too(disk: Disk, over: Recorder) -> None:
    """If an observation ends after `stop`, it is still written, and then the journal is closed again."""
    over.on_end(ended())
    assert over.stop(5)
    for number in range(2, 12):
        over.on_end(ended())
        assert over.flush(5)
        assert len(disk.written) == number
    wait_until(lambda: disk.closed == 11)


def test_many_threads_lose_nothing_at_the_end(disk: Disk, over: Recorder) -> None:
    """Eight threads add observations while another stops the recorder: each observation is written once."""
    threads = [threading.Thread(target=lambda: [over.on_end(ended()) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    over.stop(5)
    for thread in threads:
        thread.join()
    wait_until(lambda: len(disk.written) == 4000)
    assert len({observation.id for observation in disk.written}) == 4000


@pytest.mark.parametrize("starts", [True, False], ids=["it starts", "there can be no more threads"])
def test_it_may_be_stopped_while_another_thread_starts_it(
    starts: bool, disk: Disk, over: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the recorder is stopped while the first call starts its thread, that call is still written."""
    start, starting = threading.Thread.start, threading.Event()

    def slowly(thread: threading.Thread) -> None:
        starting.set()
        time.sleep(0.1)
        if not starts:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", slowly)
    agent = threading.Thread(target=lambda: over.on_end(ended()))
    start(agent)
    assert starting.wait(5)
    assert over.stop(5)
    agent.join()
    assert len(disk.written) == 1


class _Overtaken:
    """A lock that another thread acquires as soon as it is released."""

    def __init__(self, other: Callable[[], None]) -> None:
        self._lock, self._others = threading.RLock(), [other]

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if self._others:
            self._others.pop()()


def test_each_failure_is_said_in_its_own_words(capsys: pytest.CaptureFixture[str]) -> None:
    """A failure is printed with its own text, even if another thread reports another failure at that moment."""
    failures = internal_errors.Failures()
    failures._lock = _Overtaken(lambda: failures.note("theirs", "their fault", cure="Their cure."))  # type: ignore[assignment]
    failures.note("ours", "our fault", cure="Our cure.")
    said = capsys.readouterr().err.splitlines()
    assert said == ["⚠️ Observability: their fault. Their cure.", "⚠️ Observability: our fault. Our cure."]


def test_a_process_that_ends_while_its_first_call_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder created while the process ends is synchronous: the call waits until its row is on disk."""

    class MadeAsTheProcessEnds(Recorder):
        def __init__(self, make_sink: Callable[[], Any]) -> None:
            runtime._end()
            super().__init__(make_sink)

    monkeypatch.setattr(runtime, "_ending", False)
    monkeypatch.setattr(runtime, "Recorder", MadeAsTheProcessEnds)
    assert runtime.running().recorder.synchronous


def test_what_was_cut_from_a_batch_by_its_size_waits_for_no_look(
    disk: Disk, over: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If large answers fill a batch before it has 50 rows, the next batch is written without waiting for a poll."""
    monkeypatch.setattr(recorder, "_POLL_SECONDS", 60.0)
    disk.open.clear()
    for _ in range(40):
        over.on_end(ended(size=1_000_000))
    disk.open.set()
    wait_until(lambda: len(disk.written) >= 32)


@pytest.mark.slow
def test_a_call_is_on_disk_within_50_ms(journal: Any) -> None:
    """On an idle machine, calls 20 ms apart are on disk within 50 ms, also after half a second of silence."""
    ask("the first one imports what it needs")
    assert len(journal.observations()) == 1
    took = []
    for number in range(2, 17):
        time.sleep(0.02 if number % 8 else 0.5)
        took.append(
            seconds_of(lambda n=number: (ask(str(n)), wait_until(lambda: runtime.running().recorder.journalled == n)))
        )
    print(f"on disk after {sorted(took)[7] * 1000:.0f} ms, at most {max(took) * 1000:.0f} ms")
    assert sorted(took)[-2] < 0.05  # one call of fifteen may have been delayed by another process


@pytest.mark.failures_expected
def test_sync_goes_on_where_the_disk_refuses(tmp_path: Any, monkeypatch: Any) -> None:
    """If the journal cannot be written, calls under `sync` return, and are reported as dropped at the end."""
    shut = tmp_path / "a file, not a folder"
    shut.write_text("")
    monkeypatch.setenv("OBSERVABILITY_JOURNAL", str(shut / "journal.db"))
    monkeypatch.setenv("OBSERVABILITY_DURABILITY", "sync")
    assert seconds_of(lambda: [ask(str(number)) for number in range(20)]) < 2
    health = LangFuseTracker().health()
    assert (health["recorded"], health["journalled"]) == (20, 0)
    assert "the journal cannot be written" in (internal_errors.failures.last or "")
    runtime.close()
    assert internal_errors.failures._counts["dropped"] == 1


@pytest.mark.failures_expected
def test_a_flush_without_a_limit_does_not_wait_for_a_disk_that_fails(tmp_path: Path, monkeypatch: Any) -> None:
    """If the journal cannot be written, `flush` without a limit returns False, and does not block the agent."""
    shut = tmp_path / "a file, not a folder"
    shut.write_text("")
    monkeypatch.setenv("OBSERVABILITY_JOURNAL", str(shut / "journal.db"))
    ask("now")
    assert not LangFuseTracker().flush()


@pytest.mark.failures_expected
def test_health_of_a_journal_that_cannot_be_read_is_unknown(tmp_path: Path, monkeypatch: Any) -> None:
    """If the journal cannot be read, `health` has None as its counts of pending and shipped rows, and says why."""
    noise = tmp_path / "journal.db"
    noise.write_bytes(os.urandom(10_000))
    monkeypatch.setenv("OBSERVABILITY_JOURNAL", str(noise))
    health = LangFuseTracker().health()
    assert (health["pending"], health["shipped"]) == (None, None)
    assert "the journal cannot be read" in health["last_error"]


_DEAF = """
import os, pathlib, sys
from src.observability import ObservabilityContext, observe_llm, runtime
ask = observe_llm(lambda prompt: "BUY")
folder = pathlib.Path(os.environ["OBSERVABILITY_JOURNAL"]).parent
folder.parent.mkdir(exist_ok=True)
folder.write_text("a file where the folder should be")
ask("the disk is shut, and nobody hears of it")
ObservabilityContext.record_outcome("no id", pnl_usd=1)
assert not runtime.flush(1)
folder.unlink()
ask("the disk is well")
assert runtime.running().recorder.flush(10)
print(runtime.health()["journalled"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("stderr", ["full", "closed", "a broken pipe"])
def test_a_stderr_that_cannot_be_written_ends_nothing(stderr: str, tmp_path: Path, monkeypatch: Any) -> None:
    """If neither stderr nor the journal is writable, calls go on, and are journalled once the journal is writable."""
    monkeypatch.setenv("OBSERVABILITY_JOURNAL", str(tmp_path / "journals" / "here" / "journal.db"))
    where = {"full": "2>/dev/full", "closed": "2>&-", "a broken pipe": "2> >(exit)"}[stderr]
    command = f"'{sys.executable}' -c \"$CODE\" {where}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=settings.REPO_ROOT, env={**os.environ, "CODE": _DEAF}, stdout=subprocess.PIPE,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["2"]


def test_sync_is_on_disk_when_the_call_returns(journal: Any, monkeypatch: Any) -> None:
    """With `sync`, each call has been journalled when it returns."""
    monkeypatch.setenv("OBSERVABILITY_DURABILITY", "sync")
    for number in range(1, 6):
        ask(str(number))
        assert runtime.running().recorder.journalled == number


_SYNCED = """
from src.observability import observe_llm, runtime
ask = observe_llm(lambda prompt: "BUY")
for number in range(6):
    ask("now")
runtime.running().recorder.flush(10)
"""


def syncs(durability: str, tmp_path: Path) -> int:
    """Return the number of fsync and fdatasync system calls of a process that makes six model calls."""
    told = tmp_path / durability
    strace = ["strace", "-f", "-e", "trace=fsync,fdatasync", "-o", str(told), sys.executable, "-c", _SYNCED]
    variables = {"OBSERVABILITY_DURABILITY": durability, "OBSERVABILITY_JOURNAL": str(tmp_path / f"{durability}.db")}
    subprocess.run(
        strace, cwd=settings.REPO_ROOT, env={**os.environ, **variables}, check=True, capture_output=True, timeout=60
    )
    return sum("sync(" in line for line in told.read_text().splitlines())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_sync_waits_for_the_disk_itself(tmp_path: Path) -> None:
    """With `sync`, each call waits until its row is on the disk itself, so that a power cut loses no call."""
    assert syncs("sync", tmp_path) >= syncs("async", tmp_path) + 6


def test_health_counts_what_it_has_seen(journal: Any) -> None:
    """`recorded` in `health()` never exceeds the calls made; at the end, all calls are journalled, none is dropped."""
    for number in range(300):
        ask(str(number))
        if number % 50 == 0:
            assert LangFuseTracker().health()["recorded"] <= number + 1
    assert len(journal.observations()) == 300
    health = LangFuseTracker().health()
    assert (health["recorded"], health["journalled"], health["local"], health["dropped"]) == (300, 300, 300, 0)
    assert health["oldest_pending_seconds"] is None


def test_an_alarm_while_the_thread_is_started_reaches_the_agent(disk: Disk) -> None:
    """If a SIGALRM handler raises while a call starts the recorder's thread, the agent gets the error, and the next
    call starts the thread."""
    number, rung = 0, ""
    with alarms():
        while rung is not None:
            number, over = number + 1, Recorder(lambda: disk)
            rung = line_of_alarm(number, lambda over=over: over.on_start(ended()), FILES)
            over.on_end(ended())
            assert over.flush(5), rung
            assert over.stop(5)
    assert number > 8
    assert len(disk.written) == number


FILES = frozenset((recorder.__file__,))


def test_a_python_without_libffi_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recording works on a Python without `ctypes`, which is used only to return freed memory to the system."""
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "ctypes", None)
        importlib.reload(memory).return_freed_memory()
    importlib.reload(memory)
