"""A certificate file of one entry: an SDK's client reads all 140 where it is not told otherwise, for 50 ms."""

from pathlib import Path

import certifi


def one_certificate(folder: Path) -> Path:
    """Write the file into this folder."""
    first, end, _ = Path(certifi.where()).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----")
    file = folder / "one.pem"
    file.write_text(first + end, encoding="utf-8")
    return file
