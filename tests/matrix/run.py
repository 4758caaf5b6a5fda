"""Run the tests of this folder in one virtual environment for each combination of SDK versions.

`python tests/matrix/run.py` runs all combinations, and `--ends` only the oldest and the newest. Environments are kept
in `.venv-matrix/`, and made anew when their requirements change.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.environments import prepared  # noqa: E402 - run as a script

FOLDER = ROOT / ".venv-matrix"
TOOLS = ("pytest", "pytest-httpserver", "certifi")
COMBINATIONS = {
    "oldest": (
        "openai==1.55.3",
        "anthropic==0.40.0",
        "groq==0.16.0",
        "httpx==0.27.2",
        "requests==2.31.0",
        "google-generativeai==0.8.3",
    ),
    "openai-1.109": ("openai==1.109.1", "anthropic==0.75.0", "groq==0.16.0"),
    "openai-2.6": ("openai==2.6.1", "anthropic==1.0.0"),
    "openai-3.0": ("openai==3.0.0", "anthropic==2.0.0"),
    "newest": ("openai", "anthropic", "groq", "requests", "httpx==0.28.1", "google-genai", "ollama", "elevenlabs"),
}
ENDS = ("oldest", "newest")


def main() -> int:
    """Return the number of combinations that failed."""
    failed = []
    for name in ENDS if "--ends" in sys.argv[1:] else COMBINATIONS:
        python = prepared(FOLDER / name, (*COMBINATIONS[name], *TOOLS))
        print(f"🤖 {name}: {' '.join(COMBINATIONS[name])}", flush=True)
        command = [str(python), "-m", "pytest", "-c", str(Path(__file__).with_name("alone.ini")), "tests/matrix"]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
    print(f"❌ Failed: {', '.join(failed)}" if failed else "✅ Every combination passed", flush=True)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
