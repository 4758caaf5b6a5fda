"""The commands of the console, one file each. Commands that change something are in `manage`.

A new command is also listed in `console/app.py`.
"""
