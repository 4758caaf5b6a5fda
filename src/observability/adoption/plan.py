"""Computes the changes that put this package into a trading repo or remove it; `files.write_all` then writes them.

An adopted package carries a manifest: its version, a checksum of each copied file, and the bytes that were added to
each of the operator's own files. A removal deletes only the recorded bytes and files.
"""

import ast
import difflib
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..settings import REPO_ROOT, journal_of
from .edits import added_to, split_at

PACKAGE = Path("src/observability")
MANIFEST = PACKAGE / "adopted.json"
_SOURCE = Path(__file__).parents[1]
_INIT, _ENV_EXAMPLE, _REQUIREMENTS = Path("src/__init__.py"), Path(".env_example"), Path("requirements.txt")
# The line for `src/__init__.py`. If the package's folder is deleted, the line does nothing. `autoload` prints failures.
LINE = (
    'with __import__("contextlib").suppress(Exception): from .observability import autoload as _observability'
    "  # observes LLM calls"
)
_ENV_BLOCK = re.compile(r"^# 🔍 .*?(?=^# 🔒|\Z)", re.DOTALL | re.MULTILINE)
_VARIABLE = re.compile(r"^(?:# )?([A-Z][A-Z_]+)=", re.MULTILINE)


class AdoptionError(Exception):
    """The repo cannot be changed, and is left as it was. The message gives the reason and what to do."""


@dataclass
class Plan:
    """The changes of one adoption or removal."""

    root: Path
    old_version: str | None  # version of the package in the repo; None if it was not adopted
    changes: dict[Path, bytes | None]  # file -> new content, or None to delete it; in the order of writing
    kept: list[Path]  # copied files that a removal leaves, because the operator edited them

    def diff(self) -> Iterator[str]:
        """The lines of a unified diff of the operator's own files."""
        for path in (self.root / file for file in (_INIT, _ENV_EXAMPLE, _REQUIREMENTS)):
            if path in self.changes:
                old, new = (content.decode().splitlines() for content in (_read(path), self.changes[path] or b""))
                name = str(path.relative_to(self.root))
                yield from difflib.unified_diff(old, new, name, name, lineterm="")

    @property
    def copied(self) -> int:
        """How many of the changed files belong to the package."""
        return sum(self.root / PACKAGE in path.parents for path in self.changes)

    @property
    def journal(self) -> Path:
        """The path of the repo's journal, which may not exist yet."""
        return journal_of(self.root)


def adopted_version(root: Path) -> str | None:
    """The version of the package that was put into the repo at `root`; None if the repo has none."""
    manifest = _manifest(root)
    return None if manifest is None else str(manifest["version"])


def plan_adoption(root: Path) -> Plan:
    """Plan how to put this package into the repo at `root`, or to update an older version of it there.

    Raises:
        AdoptionError: the package cannot be put into this repo.
    """
    manifest = _manifest(root)
    _check_target(root, manifest)
    old = manifest or {"version": None, "files": {}, "added": {}}
    files = {root / PACKAGE / file.relative_to(_SOURCE): file.read_bytes() for file in _package_files()}
    added, edited = dict(old["added"]), {}
    for file in (_REQUIREMENTS, _ENV_EXAMPLE, _INIT):  # `src/__init__.py`, which agents import, is written last
        standing = old["added"].get(str(file), {"text": "", "created": not (root / file).exists()})
        before, after = _around(root / file, standing["text"].encode())
        if addition := added_to(before, _addition(file, (before + after).decode())):
            edited[root / file] = before + addition + after
            added[str(file)] = {"text": addition.decode(), "created": standing["created"]}
    _check_python(root / _INIT, edited.get(root / _INIT, b""))
    sums = {str(path.relative_to(root)): _checksum(content) for path, content in files.items()}
    gone = {root / file: None for file in old["files"].keys() - sums.keys()}
    manifest_text = json.dumps({"version": __version__, "files": sums, "added": added}, indent=1)
    changes: dict[Path, bytes | None] = {root / MANIFEST: manifest_text.encode(), **files, **gone, **edited}
    return Plan(root, old["version"], {path: new for path, new in changes.items() if _is_change(path, new)}, [])


def _is_change(path: Path, new: bytes | None) -> bool:
    return path.exists() if new is None else not path.exists() or new != path.read_bytes()


def plan_removal(root: Path) -> Plan:
    """Plan the removal of the package and its lines from the repo at `root`; later edits and additions stay.

    Raises:
        AdoptionError: the repo has no adopted package.
    """
    manifest = _manifest(root)
    if manifest is None:
        raise AdoptionError(f"{root} has no adopted package: nothing to remove")
    changes: dict[Path, bytes | None] = {}
    for file, addition in reversed(manifest["added"].items()):
        path = root / file
        if path.exists():
            rest = b"".join(_around(path, addition["text"].encode()))
            changes[path] = None if addition["created"] and not rest else rest
    copied = [(root / file, checksum) for file, checksum in manifest["files"].items() if (root / file).exists()]
    kept = [path for path, checksum in copied if _checksum(path.read_bytes()) != checksum]
    changes |= {path: None for path, _ in copied if path not in kept}
    changes[root / MANIFEST] = None
    return Plan(root, manifest["version"], changes, kept)


def _check_target(root: Path, manifest: dict[str, Any] | None) -> None:
    if not (root / "src").is_dir():
        raise AdoptionError(f"{root} has no folder src: give the root of the trading repo")
    if root == REPO_ROOT:
        raise AdoptionError(f"{root} is this command's own repo: give another repo")
    if (REPO_ROOT / MANIFEST).exists():
        raise AdoptionError("This package is an adopted copy: run the command in the repo that it was copied from")
    if manifest is None and (root / PACKAGE).exists():
        raise AdoptionError(f"{root / PACKAGE} exists and was not put there by this command: rename it first")
    if manifest is None and (dirty := _uncommitted(root)):
        raise AdoptionError(f"{root} has uncommitted changes in {', '.join(dirty)}: commit or stash them first")
    edited = [file for file, checksum in (manifest or {"files": {}})["files"].items()
              if (root / file).exists() and _checksum(_read(root / file)) != checksum]  # fmt: skip
    if edited:
        raise AdoptionError(f"{', '.join(edited)} was edited after the adoption: move it elsewhere, then try again")


def _uncommitted(root: Path) -> list[str]:
    """Those of the operator's files that have uncommitted changes; an empty list if git cannot be run."""
    files = map(str, (_INIT, _ENV_EXAMPLE, _REQUIREMENTS))
    command = ["git", "-C", str(root), "status", "--porcelain", "--", *files]
    try:
        status = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    except OSError:
        return []
    return [line[3:] for line in status.stdout.splitlines()]


def _check_python(path: Path, content: bytes) -> None:
    try:
        ast.parse(content)
    except (SyntaxError, ValueError) as error:
        raise AdoptionError(f"{path} is not valid Python ({error}): correct it first") from None


def _around(path: Path, added: bytes) -> tuple[bytes, bytes]:
    """The file's content before and after the added lines. If `added` is empty, all of the content is before."""
    data = _read(path)
    try:
        data.decode()
    except UnicodeDecodeError:
        raise AdoptionError(f"{path} is not UTF-8: save it as UTF-8 first") from None
    return split_at(data, added) if added else (data, b"")


def _addition(file: Path, present: str) -> str:
    """The lines to add to the operator's file, whose text is `present`. Empty if the file already has them."""
    if file == _ENV_EXAMPLE:
        return _env_block(present)
    line = LINE if file == _INIT else f"-r {PACKAGE}/requirements.txt"
    return "" if line in present.splitlines() else line


def _env_block(present: str) -> str:
    """The package's settings and comments in our `.env_example`, without the variables that `present` already has."""
    block = _ENV_BLOCK.search((REPO_ROOT / _ENV_EXAMPLE).read_text(encoding="utf-8"))
    if block is None:
        raise AdoptionError(f"{REPO_ROOT / _ENV_EXAMPLE} has no part that begins with 🔍: restore it with git")
    has = set(_VARIABLE.findall(present))
    lines = [line for line in block[0].splitlines() if not has.intersection(_VARIABLE.findall(line))]
    text = "\n".join(lines).rstrip()
    return ("\n" if present else "") + text if _VARIABLE.search(text) else ""


def _package_files() -> list[Path]:
    files = (file for file in sorted(_SOURCE.rglob("*")) if file.is_file() and "__pycache__" not in file.parts)
    return [file for file in files if not file.name.startswith(".")]


def _manifest(root: Path) -> dict[str, Any] | None:
    try:
        manifest: dict[str, Any] = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise AdoptionError(f"{root / MANIFEST} is damaged: restore it with git") from None
    return manifest


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
