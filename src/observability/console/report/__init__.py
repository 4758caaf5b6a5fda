"""The HTML page of `report`."""
