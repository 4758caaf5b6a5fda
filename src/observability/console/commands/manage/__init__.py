"""The commands that change something: the journal, its delivery, another repo."""
