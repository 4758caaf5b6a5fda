"""Journal values as text for a terminal."""
