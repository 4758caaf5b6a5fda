"""Run the matrix: one virtual environment for each combination of SDK versions, and `test_sdks.py` in each.

`python tests/matrix/run.py` for all of them, `--ends` for the oldest and the newest. Environments are kept in
`.venv-matrix/`, and made anew when their requirements here change.
"""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv-matrix"
PACKAGE = ROOT / "src/observability/requirements.txt"
TOOLS = ("pytest", "pytest-httpserver", "certifi")
COMBINATIONS = {
    "oldest": ("openai==1.55.3", "anthropic==0.40.0", "groq==0.16.0", "httpx==0.27.2"),
    "openai-1.109": ("openai==1.109.1", "anthropic==0.75.0", "groq==0.16.0"),
    "openai-2.6": ("openai==2.6.1", "anthropic==1.0.0"),
    "openai-3.0": ("openai==3.0.0", "anthropic==2.0.0"),
    "newest": ("openai", "anthropic", "groq"),
}
ENDS = ("oldest", "newest")


def prepared(name: str) -> Path:
    """The Python of the environment `name`, made where it is missing or its requirements have changed."""
    folder, mark = FOLDER / name, FOLDER / name / "requirements.txt"
    python = folder / "bin" / "python"
    wanted = "\n".join((*COMBINATIONS[name], *TOOLS, PACKAGE.read_text(encoding="utf-8")))
    if not mark.exists() or mark.read_text(encoding="utf-8") != wanted:
        print(f"🌙 Building {folder.relative_to(ROOT)} (once)", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *COMBINATIONS[name], *TOOLS, "-r", str(PACKAGE)], check=True)
        mark.write_text(wanted, encoding="utf-8")
    return python


def main() -> int:
    """The number of combinations that failed."""
    failed = []
    for name in ENDS if "--ends" in sys.argv[1:] else COMBINATIONS:
        python = prepared(name)
        print(f"🤖 {name}: {' '.join(COMBINATIONS[name])}", flush=True)
        command = [str(python), "-m", "pytest", "-c", str(Path(__file__).with_name("alone.ini")), "tests/matrix"]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
    print(f"❌ Failed: {', '.join(failed)}" if failed else "✅ Every combination passed", flush=True)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
