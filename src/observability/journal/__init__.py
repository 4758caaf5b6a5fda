"""The SQLite journal: what every observation and score is kept in."""
