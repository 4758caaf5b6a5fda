"""The commands of the console, one file each. Those that change something stand in `manage`."""
