"""On the recorder's thread: an observation becomes a row, redacted, counted and priced."""
