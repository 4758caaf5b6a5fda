"""The commands that change something, such as the journal, Langfuse or another repo."""
