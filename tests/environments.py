"""Virtual environments for tests that need a Python, or SDK versions, other than those of the test suite."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/observability/requirements.txt"


def prepared(folder: Path, requirements: Sequence[str], python: str = sys.executable) -> Path:
    """Return the path of Python in the virtual environment `folder`, where these and our package's requirements are
    installed. The environment is built if it is missing or any requirement has changed."""
    mark, executable = folder / "requirements.txt", folder / "bin" / "python"
    wanted = "\n".join((*requirements, PACKAGE.read_text(encoding="utf-8")))
    if not mark.exists() or mark.read_text(encoding="utf-8") != wanted:
        print(f"🌙 Building {folder.relative_to(ROOT)} (once)", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(executable), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *requirements, "-r", str(PACKAGE)], check=True)
        subprocess.run([str(executable), "-m", "pip", "check"], check=True, stdout=subprocess.DEVNULL)
        mark.write_text(wanted, encoding="utf-8")
    return executable
