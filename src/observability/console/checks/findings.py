"""One result of a check, and the checks of the journal's path.

In a folder that this user may not enter, `Path.exists` raises, but `os.path.exists`, which is used here, returns False.
"""

import os
from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

DOCTOR = "python -m src.observability doctor"


class Severity(IntEnum):
    """How bad a finding is. Lower values are worse, so that the worst findings sort first."""

    FAULT = 0  # data is lost or not delivered; `doctor` exits with status 1
    WARNING = 1
    FINE = 2


class Finding(NamedTuple):
    """One result of a check. It includes a cure if there is a problem."""

    severity: Severity
    about: str
    what: str
    cure: str | None = None
    detail: str | None = None  # printed only with --json

    def as_json(self) -> dict[str, str | None]:
        """Return the finding as a JSON object, for scripts."""
        finding = {"weight": self.severity.name.lower(), "about": self.about, "what": self.what, "cure": self.cure}
        return finding | ({"detail": self.detail} if self.detail else {})


def by_subject(findings: Iterable[Finding]) -> list[Finding]:
    """Join the findings about each subject into one; the worst comes first.

    If a subject has a problem, its good findings are left out.
    """
    subjects: dict[str, list[Finding]] = {}
    for finding in sorted(findings, key=lambda finding: finding.severity):
        subjects.setdefault(finding.about, []).append(finding)
    return sorted(map(_joined, subjects.values()), key=lambda finding: finding.severity)


def _joined(findings: Sequence[Finding]) -> Finding:
    worst = findings[0].severity
    relevant = [finding for finding in findings if finding.severity is not Severity.FINE or worst is Severity.FINE]
    cures = dict.fromkeys(finding.cure for finding in relevant if finding.cure)
    whats = "; ".join(dict.fromkeys(finding.what for finding in relevant))
    return Finding(worst, findings[0].about, whats, "; ".join(cures) or None)


def fault(about: str, what: str, cure: str) -> Finding:
    """Return a finding about data that is lost or not delivered."""
    return Finding(Severity.FAULT, about, what, cure)


def warning(about: str, what: str, cure: str) -> Finding:
    """Return a finding that needs the operator's attention, but is not a fault."""
    return Finding(Severity.WARNING, about, what, cure)


def fine(about: str, what: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Severity.FINE, about, what)


def is_there(path: Path) -> bool:
    """Return whether this user can see a file at `path`."""
    return os.path.exists(path)  # noqa: PTH110


def nearest_folder(path: Path) -> Path:
    """Return the closest parent folder of `path` that exists and that this user can see."""
    return next(parent for parent in path.parents if is_there(parent))


def journal_obstacle(path: Path) -> Finding | None:
    """Return the reason why no journal can be at `path`; None if a file is there, or this user can create one."""
    if os.path.isdir(path):  # noqa: PTH112
        return fault("journal", f"{path} is a folder", "set OBSERVABILITY_JOURNAL to a file in this folder")
    folder = nearest_folder(path)
    if is_there(path) or os.access(folder, os.W_OK | os.X_OK):
        return None
    what = f"no journal at {path}, and this user may not create one: {folder} is not writable"
    return fault(
        "journal", what, "make the folder writable for the agents' user, or set OBSERVABILITY_JOURNAL to another file"
    )


def is_awaited(path: Path) -> bool:
    """Return whether no journal exists yet, and an agent's first call can create one."""
    return not is_there(path) and journal_obstacle(path) is None
