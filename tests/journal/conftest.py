"""Fixtures of the journal's tests."""

import pytest


@pytest.fixture
def _copied_journal() -> None:
    """Replace the fixture that copies a finished journal: these tests create theirs as an agent does."""
