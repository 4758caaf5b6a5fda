"""The watch: reads new rows of the journal, applies the rules, saves, and sends messages. One process per journal."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .. import settings
from ..journal import Journal, JournalError
from .channels import Channel
from .delivery import send_due
from .events import new_events, newest
from .fleet import FLEET_RULES, fleet_incidents
from .monitor import Incident, Monitor
from .quiet import end_of_quiet
from .store import AlertStore, path_beside

# The machine has slept if a pause between two passes is longer than _SLEEP_NS and than _PAUSES times the pause before.
_PAUSES, _SLEEP_NS = 3, 15 * 60 * 10**9
_GONE_NS = 60 * 86_400 * 10**9  # an agent not seen for longer is forgotten


class AlreadyWatchedError(OSError):
    """Raised if another process is already watching the journal."""


class Watcher:
    """Reads one journal in repeated passes, and keeps the learned state in memory between the passes."""

    def __init__(self, journal: Path, channels: list[Channel]) -> None:
        self.path, self._channels = journal, channels
        self.store = AlertStore(path_beside(journal))
        self._load()

    def _load(self) -> None:
        self._monitors = self.store.monitors()
        rows = (row for row in self.store.incidents(only_open=True) if row["rule"] in FLEET_RULES)
        self._fleet = {(row["agent"], row["rule"]): _incident(row) for row in rows}

    def close(self) -> None:
        """Close the alerts' file."""
        self.store.close()

    def run_pass(self, now_ns: int) -> list[Incident]:
        """Read the journal's new rows, apply the rules, save the results and send the messages that are due.

        Returns the incidents that began or ended since the last pass.

        Raises:
            JournalError: the journal or the alerts' file cannot be used at the moment.
        """
        try:
            changes = self._judge(now_ns)
        except BaseException:
            self._load()  # nothing was saved: the next pass reads the same rows again
            raise
        send_due(self.store, self._channels, now_ns)
        return changes

    def _judge(self, now_ns: int) -> list[Incident]:
        facts = {"pass_ns": now_ns, **self._pauses(now_ns)}
        journal = Journal(self.path, create=False)
        try:
            changes, facts["seq"], seen = self._read(journal, now_ns)
            changes += self._check(journal, now_ns, facts["awake_ns"], seen)
        finally:
            journal.close()
        changes = [incident for incident in changes if not _is_off(incident)]
        due = dict.fromkeys((channel.key for channel in self._channels), end_of_quiet(now_ns))
        gone = self._drop_gone(now_ns)
        self.store.save(facts, seen.values(), _as_they_are_now(changes), due, gone)
        return changes

    def _pauses(self, now_ns: int) -> dict[str, int]:
        """The time since the last pass, and the time at which the machine last woke up.

        The wake-up matters because no agent runs while the machine sleeps.
        """
        last, usual, awake = (self.store.fact(name) or 0 for name in ("pass_ns", "pause_ns", "awake_ns"))
        pause = now_ns - last if last else 0
        has_slept = usual > 0 and pause > max(_PAUSES * usual, _SLEEP_NS)
        return {"pause_ns": pause, "awake_ns": now_ns if has_slept else awake}

    def _read(self, journal: Journal, now_ns: int) -> tuple[list[Incident], int, dict[str, Monitor]]:
        last, after = newest(journal), self.store.fact("seq") or 0
        changes: list[Incident] = []
        seen: dict[str, Monitor] = {}
        # If the saved `seq` is beyond the newest, the journal was replaced: the new one is read from its beginning.
        for agent, event in new_events(journal, after if after <= last else 0, last):
            # If the clock was fast when the event was recorded, the event would lie in the future.
            event = event._replace(at_ns=min(event.at_ns, now_ns))
            if agent not in self._monitors:
                self._monitors[agent] = Monitor.new(agent, event.at_ns)
            seen[agent] = self._monitors[agent]
            changes += seen[agent].feed(event)
        return changes, last, seen

    def _drop_gone(self, now_ns: int) -> list[str]:
        """Forget agents that were not seen for `_GONE_NS` and have no open incident; return their names."""
        monitors = self._monitors.values()
        gone = [item.agent for item in monitors if not item.open and now_ns - item.memory.seen_ns > _GONE_NS]
        for agent in gone:
            del self._monitors[agent]
        return gone

    def _check(self, journal: Journal, now_ns: int, awake_ns: int, seen: dict[str, Monitor]) -> Iterator[Incident]:
        for monitor in self._monitors.values():
            for change in monitor.check(now_ns, awake_ns):
                seen[monitor.agent] = monitor
                yield change
        yield from self._check_fleet(journal, now_ns)

    def _check_fleet(self, journal: Journal, now_ns: int) -> Iterator[Incident]:
        now = {
            (incident.agent, incident.rule): incident
            for incident in fleet_incidents(journal, now_ns, lambda *names: names in self._fleet)
        }
        for names in now.keys() - self._fleet.keys():
            self._fleet[names] = now[names]
            yield now[names]
        for names in self._fleet.keys() - now.keys():
            incident = self._fleet.pop(names)
            incident.closed_ns, incident.closing = now_ns, "recovered"
            yield incident


def run_passes(watcher: Watcher, seconds: float, report: Callable[[list[Incident] | OSError], None]) -> None:
    """Run passes until the process is interrupted. A failing pass is reported once and retried."""
    reported = ""
    while True:
        try:
            report(watcher.run_pass(time.time_ns()))
            reported = ""
        except JournalError as error:
            if str(error) != reported:
                report(error)
            reported = str(error)
        time.sleep(seconds)


@contextmanager
def only_watch(journal: Path) -> Iterator[None]:
    """Hold the lock that only one watching process of a journal can have. It is released even if the process is killed.

    Raises:
        AlreadyWatchedError: another process holds the lock.
    """
    fd = os.open(f"{path_beside(journal)}.lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyWatchedError("another `watch` is running on this journal") from None
        yield
    finally:
        with suppress(OSError):
            os.close(fd)


def _as_they_are_now(changes: list[Incident]) -> list[Incident]:
    """Keep each incident only once, even if it both began and ended."""
    return list({id(incident): incident for incident in changes}.values())


def _is_off(incident: Incident) -> bool:
    """Whether OBSERVABILITY_ALERT_OFF lists the incident's rule (`slow`), or its agent and rule (`WhaleAgent slow`)."""
    off = {name.casefold() for name in settings.setting("OBSERVABILITY_ALERT_OFF")}
    return not off.isdisjoint({incident.rule.casefold(), f"{incident.agent} {incident.rule}".casefold()})


def _incident(row: dict[str, object]) -> Incident:
    return Incident(**{name: value for name, value in row.items() if name != "id"})  # type: ignore[arg-type]
