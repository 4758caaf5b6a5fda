"""The checks that the command `doctor` runs."""
