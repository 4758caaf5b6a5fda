"""Fixtures of the journal's tests."""

import pytest


@pytest.fixture
def _copied_journal() -> None:
    """No copy: these tests create their journals as an agent does."""
