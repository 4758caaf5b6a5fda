"""Fixtures of the journal's tests."""

import pytest


@pytest.fixture
def _copied_journal() -> None:
    """No copy: the journals of these tests are created as an agent creates its own."""
