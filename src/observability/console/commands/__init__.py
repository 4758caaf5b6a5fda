"""The commands of the console. Related commands share a file. Commands that change something are in `manage`.

A new command is also listed in `console/app.py`.
"""
