"""The files of `deploy/`, each checked by its own tool, and two machines that ship to one server."""
