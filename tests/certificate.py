"""A file with one root certificate: by default an SDK's client reads all 140 of the system, which takes 50 ms."""

from pathlib import Path

import certifi


def one_certificate(folder: Path) -> Path:
    """Write the file into this folder, and return its path."""
    first, end, _ = Path(certifi.where()).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----")
    file = folder / "one.pem"
    file.write_text(first + end, encoding="utf-8")
    return file
