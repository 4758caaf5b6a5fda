"""Run `test_fleet.py` in several virtual environments, with different Pythons and versions of the SDKs.

`python tests/fleet/run.py` tests the operator's pinned versions on Python 3.10, 3.11 and 3.12, and the newest SDKs
on the Python that runs this script. With `--ends`, the pinned versions are tested on the oldest Python only. A missing
Python is skipped. Environments are kept in `.venv-fleet/`, and made anew when their requirements change.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.environments import prepared  # noqa: E402 - run as a script
from tests.pythons import interpreters  # noqa: E402

FOLDER = ROOT / ".venv-fleet"
PINS = tuple(Path(__file__).with_name("pins.txt").read_text(encoding="utf-8").split())
NEWEST = ("openai", "anthropic", "groq", "requests", "rich", "typer")  # the command `run` needs rich and typer
PINNED_PYTHONS = ((3, 10), (3, 11), (3, 12))  # Pythons for which the pinned numpy and pandas have wheels


def environments() -> dict[str, tuple[tuple[str, ...], str]]:
    """Return, for the name of each environment, its requirements and its Python."""
    pythons = interpreters()
    pinned = {f"pins-3.{version[1]}": (PINS, pythons[version]) for version in PINNED_PYTHONS if version in pythons}
    if "--ends" in sys.argv[1:]:
        pinned = dict(list(pinned.items())[:1])
    return {**pinned, "newest": (NEWEST, sys.executable)}


def main() -> int:
    """Run the tests in every environment, and return the number of environments in which a test failed."""
    failed = []
    for name, (requirements, python) in environments().items():
        fleet_python = prepared(FOLDER / name, requirements, python)
        print(f"🤖 {name}", flush=True)
        command = [sys.executable, "-m", "pytest", "-q", "-m", "slow", "tests/fleet"]
        environment = {**os.environ, "FLEET_PYTHON": str(fleet_python)}
        if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
            failed.append(name)
    print(f"❌ Failed: {', '.join(failed)}" if failed else "✅ The fleet passed in every environment", flush=True)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
