"""The HTML page that `serve` shows live and `report` writes to a file."""
