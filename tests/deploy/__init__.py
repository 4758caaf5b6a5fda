"""Tests of the files in `deploy/`, and of two machines that ship traces to one server."""
