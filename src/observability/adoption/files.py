"""Change several files together or not at all."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_DRAFT = ".adopting"


class _Before(NamedTuple):
    content: bytes
    mode: int


def write_all(changes: Mapping[Path, bytes | None]) -> None:
    """Write every file, or delete it if its content is None, in the given order. After a failure, restore all files.

    A draft of every file is written first, so that a full disk or a read-only folder is noticed before any change.
    """
    before = {path: _Before(path.read_bytes(), path.stat().st_mode) if path.exists() else None for path in changes}
    folders: list[Path] = []
    drafts: dict[Path, Path] = {}
    started: list[Path] = []
    try:
        for path, content in changes.items():
            _make_folders(path.parent, folders)
            drafts[path] = draft = path.with_name(f".{path.name}{_DRAFT}")
            _write(draft, b"" if content is None else content, before[path])
        for path, content in changes.items():
            started.append(path)
            if content is None:
                path.unlink()
            else:
                drafts[path].replace(path)
    except BaseException:
        for path in started:
            _restore(path, before[path])
        raise
    finally:
        for draft in drafts.values():
            with suppress(OSError):  # most drafts have already replaced their file
                draft.unlink()
        for folder in reversed(folders):
            _remove_if_empty(folder)


def remove_empty_folders(root: Path) -> None:
    """Delete Python's caches in `root`, then the empty folders in it, then `root` itself if it is empty."""
    for cache in list(root.rglob("__pycache__")):
        for file in cache.glob("*.pyc"):
            file.unlink()
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        _remove_if_empty(folder)
    _remove_if_empty(root)


def _make_folders(folder: Path, made: list[Path]) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir()
        made.append(parent)


def _write(path: Path, content: bytes, like: _Before | None) -> None:
    path.write_bytes(content)
    if like is not None:
        path.chmod(like.mode)


def _restore(path: Path, before: _Before | None) -> None:
    if before is None:
        path.unlink(missing_ok=True)
    else:
        _write(path, before.content, before)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
