"""The page: live for `serve`, frozen into a file for `report`."""
