"""Fixtures of the journal's tests."""

import pytest


@pytest.fixture
def _copied_journal() -> None:
    """Replace the fixture that copies a ready-made empty journal: these tests create their journal as an agent does."""
