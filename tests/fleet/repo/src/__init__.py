"""A small made-up trading desk."""
