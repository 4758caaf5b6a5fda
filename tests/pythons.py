"""Run the package's quick tests on Python 3.10 and on the newest Python of this machine: `make test-pythons`.

The package runs on Python 3.10 to 3.13; the agents and models of this repo need 3.11. Interpreters are those of pyenv
and `python3.x` on the path. Environments are kept in `.venv-pythons/`.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.environments import prepared  # noqa: E402 - run as a script

FOLDER = ROOT / ".venv-pythons"
OLDEST = (3, 10)
REQUIREMENTS = (ROOT / "requirements-test.txt", ROOT / "src/observability/requirements-console.txt")


def interpreters() -> dict[tuple[int, int], str]:
    """Return the interpreter of each supported Python version, oldest first."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    paths = {*map(str, pyenv.glob("3.*/bin/python")), sys.executable}
    paths |= {path for minor in range(OLDEST[1], 30) if (path := shutil.which(f"python3.{minor}")) is not None}
    versions = {}
    for path in sorted(paths):
        shown = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        if number := re.match(r"Python (3)\.(\d+)\.\d+$", shown.strip()):
            versions[int(number[1]), int(number[2])] = path
    return {version: path for version, path in sorted(versions.items()) if version >= OLDEST}


def requirements() -> list[str]:
    """Return the packages in the requirements files of the tests and of the command-line program."""
    lines = [line for file in REQUIREMENTS for line in file.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith(("#", "-r"))]


def main() -> int:
    """Run the tests on each chosen Python; return 1 if a test failed, else 0."""
    found = interpreters()
    if OLDEST not in found:
        print("⚠️ No Python 3.10 here (`pyenv install 3.10` brings one): its tests are skipped", flush=True)
    chosen = [version for version in found if version in (OLDEST, max(found))]
    failed = []
    for version in chosen:
        name = ".".join(map(str, version))
        python = prepared(FOLDER / name, requirements(), found[version])
        print(f"🤖 Python {name}", flush=True)
        rooms = (folder.name for folder in (ROOT / "src/observability").iterdir())
        tests = [f"tests/{room}" for room in sorted(rooms) if (ROOT / "tests" / room).is_dir()]
        if subprocess.run([str(python), "-m", "pytest", "-q", *tests, *sys.argv[1:]], cwd=ROOT, check=False).returncode:
            failed.append(name)
    print(f"❌ Failed on Python {', '.join(failed)}" if failed else "✅ Every Python passed", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
