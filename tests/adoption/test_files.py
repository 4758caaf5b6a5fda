"""Many files are changed together or not at all."""

from pathlib import Path

import pytest

from src.observability.adoption import write_all


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    """Return the content and mode of each file below `root`, including hidden files."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mode) for path in files}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a script, and with a file that will be deleted."""
    script = tmp_path / "script.py"
    script.write_bytes(b"old")
    script.chmod(0o755)
    (tmp_path / "gone.txt").write_bytes(b"gone")
    return tmp_path


def test_all_changes_are_made(root: Path) -> None:
    """`write_all` creates, replaces and deletes files; a replaced file keeps its mode; no temporary file is left."""
    write_all({root / "a" / "b.txt": b"b", root / "script.py": b"new", root / "gone.txt": None})
    assert {name: content for name, (content, _) in contents(root).items()} == {"a/b.txt": b"b", "script.py": b"new"}
    assert (root / "script.py").stat().st_mode & 0o777 == 0o755


def test_a_folder_that_cannot_be_made_changes_nothing(root: Path) -> None:
    """If a folder cannot be made, the error is raised before any file is changed."""
    before = contents(root)
    with pytest.raises(NotADirectoryError):
        write_all({root / "script.py": b"new", root / "new" / "b": b"", root / "gone.txt" / "a": b"a"})
    assert contents(root) == before
    assert not (root / "new").exists()


@pytest.mark.parametrize("failing", ["replace", "unlink"])
@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt()])
def test_a_change_that_fails_takes_back_the_ones_before(
    root: Path, monkeypatch: pytest.MonkeyPatch, failing: str, error: BaseException
) -> None:
    """If the disk fails or Ctrl-C is pressed halfway, all files are restored."""
    before = contents(root)
    real = getattr(Path, failing)

    def fail(path: Path, *arguments: object, **named: object) -> object:
        if path.name == {"replace": ".last.adopting", "unlink": "gone.txt"}[failing]:
            raise error
        return real(path, *arguments, **named)

    monkeypatch.setattr(Path, failing, fail)
    with pytest.raises(type(error)):
        write_all({root / "a" / "b.txt": b"b", root / "script.py": b"new", root / "gone.txt": None, root / "last": b""})
    monkeypatch.undo()
    assert contents(root) == before
    assert not (root / "a").exists()
