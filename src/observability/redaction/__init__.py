"""A secret is masked here, before anything touches disk or wire."""
