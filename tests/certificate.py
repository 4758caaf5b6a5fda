"""A file with one root certificate. By default, each client of an SDK reads the system's 140, which takes 50 ms."""

from pathlib import Path

import certifi


def one_certificate(folder: Path) -> Path:
    """Write a file with one root certificate into this folder, and return its path."""
    first, end, _ = Path(certifi.where()).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----")
    file = folder / "one.pem"
    file.write_text(first + end, encoding="utf-8")
    return file
