"""The operator's console: `python -m src.observability COMMAND` prints the journal as tables and trees."""
