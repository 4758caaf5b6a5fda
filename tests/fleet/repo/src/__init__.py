"""A small made-up repo of trading agents."""
