"""Run the fleet: one virtual environment for each Python and set of SDK versions, and `test_fleet.py` in each.

`python tests/fleet/run.py` for the operator's pinned versions on Python 3.10, 3.11 and 3.12, and the newest SDKs;
`--ends` for the pins on the oldest Python found, and the newest SDKs. A Python that this machine lacks is skipped.
Environments are kept in `.venv-fleet/`, and made anew when their requirements change.
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
NEWEST = ("openai", "anthropic", "groq", "requests", "rich", "typer")  # `run` needs the last two
PINNED_PYTHONS = ((3, 10), (3, 11), (3, 12))  # the pinned numpy and pandas have wheels for these


def environments() -> dict[str, tuple[tuple[str, ...], str]]:
    """Return name -> requirements and Python."""
    pythons = interpreters()
    pinned = {f"pins-3.{version[1]}": (PINS, pythons[version]) for version in PINNED_PYTHONS if version in pythons}
    if "--ends" in sys.argv[1:]:
        pinned = dict(list(pinned.items())[:1])
    return {**pinned, "newest": (NEWEST, sys.executable)}


def main() -> int:
    """Return the number of environments in which a test failed."""
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
