"""`adopt` installs the package in a repo, updates it and removes it; `git status` checks each result."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from src import observability
from src.observability import adoption, settings
from src.observability.adoption import plan
from src.observability.console.app import app

pytestmark = pytest.mark.slow

FILES = {
    "src/__init__.py": b'"""\n\xf0\x9f\x8c\x99 Trading\n""" ',  # no newline at the end
    ".env_example": b"OPENAI_KEY=your_key_here\r\nENABLE_LANGFUSE=false\r\n",
    "requirements.txt": b"termcolor==2.3.0",
    "src/config.py": b"EXCHANGE = 'solana'\n",
    "src/agents/bot.py": b"from src.config import *\nprint(EXCHANGE)\n",
    ".gitignore": b"__pycache__/\n",
}


def git(root: Path, *arguments: str) -> str:
    """Run git in the repo at `root`, and return its output."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    return subprocess.run(
        ["git", "-C", str(root), *identity, *arguments], capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def repo(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes and commits a trading repo of `FILES`, without the given files."""

    def make(*without: str) -> Path:
        root = tmp_path / "repo"
        for name, content in FILES.items():
            if name not in without:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(content)
        git(root, "init", "--quiet")
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message", "before")
        return root

    return make


def adopt(root: Path, *options: str) -> Result:
    """Run the command `adopt` in this process."""
    return CliRunner().invoke(app, ["adopt", str(root), *options])


def status(root: Path) -> str:
    """Return git's list of changed, added and ignored files, and the binary diff of the changed files."""
    return git(root, "status", "--porcelain", "--ignored") + git(root, "diff", "--binary")


def run_bot(root: Path, code: str = "import src.agents.bot") -> subprocess.CompletedProcess[str]:
    """Run an agent of the repo in a new process."""
    return subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, cwd=root, timeout=60, check=False
    )


@pytest.mark.parametrize("missing", [(), ("src/__init__.py",), (".env_example",), ("requirements.txt",),
                                     ("src/__init__.py", ".env_example", "requirements.txt")])  # fmt: skip
def test_in_and_out_leaves_nothing(repo: Callable[..., Path], missing: tuple[str, ...]) -> None:
    """Two adoptions and a removal leave `git status` clean, even if the repo lacked a file that `adopt` writes to."""
    root = repo(*missing)
    assert adopt(root, "--yes").exit_code == 0
    once = status(root)
    assert sorted(line[3:] for line in git(root, "status", "--porcelain").splitlines()) == [
        ".env_example", "requirements.txt", "src/__init__.py", "src/observability/",
    ]  # fmt: skip
    again = adopt(root, "--yes")
    assert (again.exit_code, status(root)) == (0, once)
    assert "already" in again.stdout
    assert adopt(root, "--undo", "--yes").exit_code == 0
    assert status(root) == ""


def test_it_adds_lines_and_changes_none(repo: Callable[..., Path]) -> None:
    """Adopting adds one line that installs the hooks, one requirement, and the settings that `.env_example` lacks."""
    root = repo()
    adopt(root, "--yes")
    for name, content in FILES.items():
        assert (root / name).read_bytes().startswith(content)
    assert (root / "src/__init__.py").read_bytes().removeprefix(FILES["src/__init__.py"]) == f"\n{plan.LINE}".encode()
    added = (root / ".env_example").read_bytes().removeprefix(FILES[".env_example"])
    assert added.count(b"\r\n") == added.count(b"\n") > 10
    assert b"LANGFUSE_SECRET_KEY=" in added
    assert b"ENABLE_LANGFUSE" not in added
    copied = {str(file.relative_to(root / "src")) for file in (root / "src" / "observability").rglob("*.py")}
    assert copied == {str(file.relative_to(settings.REPO_ROOT / "src")) for file in
                      (settings.REPO_ROOT / "src" / "observability").rglob("*.py")}  # fmt: skip


def test_the_line_of_this_repo_is_the_one_that_is_added() -> None:
    """This repo's `src/__init__.py` has the line that `adopt` adds."""
    assert plan.LINE in (settings.REPO_ROOT / "src/__init__.py").read_text(encoding="utf-8").splitlines()


def test_an_agent_runs_as_before(repo: Callable[..., Path]) -> None:
    """After `adopt`, an agent prints what it printed before, prints nothing on stderr, and has the hooks."""
    root = repo()
    before = run_bot(root)
    adopt(root, "--yes")
    after = run_bot(root)
    assert (after.returncode, after.stdout, after.stderr) == (0, before.stdout, "")
    loaded = run_bot(root, "import src.agents.bot, sys; print('src.observability.instrumentation' in sys.modules)")
    assert loaded.stdout == "solana\nTrue\n"


@pytest.mark.parametrize("missing", ["termcolor", "dotenv", "mnemonic"])
def test_a_missing_requirement_is_one_line(repo: Callable[..., Path], missing: str) -> None:
    """If a requirement is missing, the agent prints one line on stderr with the cure, and continues."""
    root = repo()
    adopt(root, "--yes")
    ended = run_bot(root, f"import sys; sys.modules[{missing!r}] = None\nimport src.agents.bot")
    assert (ended.returncode, ended.stdout) == (0, "solana\n")
    (line,) = ended.stderr.splitlines()
    assert f"❌ Observability: {missing} is missing" in line
    assert "pip install -r src/observability/requirements.txt" in line


def test_a_python_that_is_too_old_is_one_line(repo: Callable[..., Path]) -> None:
    """On Python 3.9, which the test simulates, the agent prints one line on stderr and continues."""
    root = repo()
    adopt(root, "--yes")
    ended = run_bot(root, "import sys; sys.version_info = (3, 9); del sys.orig_argv\nimport src.agents.bot")
    assert (ended.returncode, ended.stdout) == (0, "solana\n")
    (line,) = ended.stderr.splitlines()
    assert "❌ Observability: Python 3.10 or newer is needed, calls are not recorded" in line


def test_a_missing_or_broken_package_stops_no_agent(repo: Callable[..., Path]) -> None:
    """If the package has a damaged module, an agent prints one line and goes on; without the package it prints none."""
    root = repo()
    adopt(root, "--yes")
    (root / "src/observability/settings.py").write_text("broken(", encoding="utf-8")
    ended = run_bot(root)
    assert (ended.returncode, ended.stdout) == (0, "solana\n")
    assert "❌ Observability: calls are not recorded: SyntaxError" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    shutil.rmtree(root / "src/observability")
    ended = run_bot(root)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "solana\n", "")


def test_later_edits_and_the_journal_stay(repo: Callable[..., Path]) -> None:
    """`adopt --undo` keeps later edits, also in the package's own files, and lists the kept files."""
    root = repo()
    adopt(root, "--yes")
    with (root / "src/__init__.py").open("a", encoding="utf-8") as file:
        file.write("\nLATER = 1\n")
    (root / "requirements.txt").write_text("first==1\n" + (root / "requirements.txt").read_text())
    (root / "src/observability/context.py").write_text("# mine\n", encoding="utf-8")
    (root / "src/observability/notes.txt").write_text("mine", encoding="utf-8")
    journal = root / "src/data/observability/journal.db"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"rows")
    ended = adopt(root, "--undo", "--yes")
    assert "context.py was edited after it was installed, and is kept" in ended.stdout
    assert f"The journal is kept: {journal}" in ended.stdout.replace("\n", "")
    assert (root / "src/__init__.py").read_bytes() == FILES["src/__init__.py"] + b"\nLATER = 1\n"
    assert (root / "requirements.txt").read_bytes() == b"first==1\n" + FILES["requirements.txt"]
    assert journal.read_bytes() == b"rows"
    left = {file.name for file in (root / "src/observability").rglob("*")}
    assert left == {"context.py", "notes.txt"}


def test_an_older_adoption_is_updated(repo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """`adopt` replaces an older version and deletes files that the new one lacks; `adopt --undo` restores the repo."""
    root = repo()
    with monkeypatch.context() as older:
        older.setattr(plan, "__version__", "0.9.0")
        older.setattr(plan, "LINE", "from .observability import autoload  # older")
        adopt(root, "--yes")
    manifest = json.loads((root / plan.MANIFEST).read_text())
    (root / "src/observability/old.py").write_bytes(b"")
    manifest["files"]["src/observability/old.py"] = plan._checksum(b"")
    (root / plan.MANIFEST).write_text(json.dumps(manifest))
    ended = adopt(root, "--yes")
    assert f"was updated from 0.9.0 to version {observability.__version__}" in ended.stdout
    assert not (root / "src/observability/old.py").exists()
    assert (root / "src/__init__.py").read_bytes() == FILES["src/__init__.py"] + f"\n{plan.LINE}".encode()
    assert adoption.adopted_version(root) == observability.__version__
    adopt(root, "--undo", "--yes")
    assert status(root) == ""


def test_a_dry_run_and_a_no_change_nothing(repo: Callable[..., Path]) -> None:
    """With `--dry-run`, `adopt` shows the diff and changes nothing; otherwise it asks, and only a yes changes files."""
    root = repo()
    shown = adopt(root, "--dry-run")
    assert shown.exit_code == 0
    assert f"+{plan.LINE}" in shown.stdout
    assert status(root) == ""
    unanswered = adopt(root)
    assert unanswered.exit_code == 1
    assert "No confirmation (no terminal): nothing was changed" in unanswered.stderr.replace("\n", " ")
    assert CliRunner().invoke(app, ["adopt", str(root)], input="n\n").exit_code == 1
    assert status(root) == ""
    assert CliRunner().invoke(app, ["adopt", str(root)], input="y\n").exit_code == 0


def break_init(root: Path) -> None:
    """Replace `src/__init__.py` by half a statement."""
    (root / "src/__init__.py").write_bytes(b"x = (\n")
    git(root, "commit", "--all", "--quiet", "--message", "broken")


def in_utf_16(root: Path) -> None:
    """Write `requirements.txt` in UTF-16, as PowerShell's `pip freeze > requirements.txt` does."""
    (root / "requirements.txt").write_text("termcolor==2.3.0\n", encoding="utf-16")
    git(root, "commit", "--all", "--quiet", "--message", "PowerShell")


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda root: (root / "requirements.txt").write_bytes(b"x"), "uncommitted changes in requirements.txt: commit"),
        (lambda root: shutil.rmtree(root / "src"), "has no folder src: give the root of the trading repo"),
        (lambda root: (root / "src/observability").mkdir(), "was not put there by this command: rename it first"),
        (break_init, "is not valid Python"),
        (in_utf_16, "requirements.txt is not UTF-8: save it as UTF-8 first"),
    ],
)
def test_a_repo_that_cannot_take_it_is_left_alone(
    repo: Callable[..., Path], prepare: Callable[[Path], object], message: str
) -> None:
    """If `adopt` cannot install the package in a repo, the message names the cure, and no file is changed."""
    root = repo()
    prepare(root)
    before = status(root)
    ended = adopt(root, "--yes")
    assert (ended.exit_code, status(root)) == (1, before)
    assert message in ended.stderr


def test_an_edited_copy_is_not_overwritten(repo: Callable[..., Path]) -> None:
    """If the operator has edited the adopted copy, `adopt` refuses to update it."""
    root = repo()
    adopt(root, "--yes")
    (root / "src/observability/context.py").write_text("# mine\n", encoding="utf-8")
    ended = adopt(root, "--yes")
    assert ended.exit_code == 1
    assert "src/observability/context.py was edited after the adoption" in ended.stderr
    assert (root / "src/observability/context.py").read_text(encoding="utf-8") == "# mine\n"


def test_a_read_only_repo_is_left_alone(repo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """If a file cannot be written, no file is changed. The error is simulated, as the tests may run as user root."""
    root = repo()

    def refuse(path: Path, content: bytes) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    ended = adopt(root, "--yes")
    monkeypatch.undo()
    assert (ended.exit_code, status(root)) == (1, "")
    assert f"Permission denied. Nothing was changed in {root}" in ended.stderr


def test_nothing_to_undo_and_no_repo_at_all(tmp_path: Path, repo: Callable[..., Path]) -> None:
    """`adopt` refuses a missing folder and this repo itself; `adopt --undo` refuses a repo without the package."""
    assert "nothing to remove" in adopt(repo(), "--undo", "--yes").stderr
    assert "has no folder src" in adopt(tmp_path / "nowhere", "--yes").stderr
    assert "give another repo" in adopt(settings.REPO_ROOT, "--yes").stderr


def test_the_adopted_package_takes_itself_out(repo: Callable[..., Path]) -> None:
    """In an adopted repo, the repo's own copy of the package runs `adopt --check`, `--version` and `adopt --undo`."""
    root = repo()
    adopt(root, "--yes")
    command = [sys.executable, "-m", "src.observability"]
    listed = subprocess.run([*command, "adopt", ".", "--check"], capture_output=True, text=True, cwd=root, timeout=60)
    assert (listed.returncode, listed.stdout.splitlines()[-1].split(":")[0]) == (0, "total")
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, cwd=root, timeout=60)
    assert version.stdout == f"{observability.__version__}\n"
    ended = subprocess.run(
        [*command, "adopt", ".", "--undo", "--yes"], capture_output=True, text=True, cwd=root, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert git(root, "status", "--porcelain") == ""


def test_check_fails_where_a_call_is_not_observed(repo: Callable[..., Path]) -> None:
    """In a repo without the package, `--check` exits with 1 if a call is not observed, and suggests `adopt`."""
    root = repo()
    (root / "src/agents/bot.py").write_text("import src, litellm\nlitellm.completion(model='m')\n", encoding="utf-8")
    ended = adopt(root, "--check")
    assert ended.exit_code == 1
    how = "not observed: this package cannot observe litellm"
    assert f"❌ src/agents/bot.py:2  litellm.completion  {how}" in ended.stdout
    total = "1 call site, 0 observed through src/__init__.py, 0 only with the command `run`, 1 not observed"
    assert f"total: {total}" in ended.stdout
    assert "This package is not installed there yet; to install it: " in ended.stderr
