"""The commands of the console. Related commands share a file. Commands that change something are in `manage`.

A new command must be added to the list in `console/app.py`.
"""
