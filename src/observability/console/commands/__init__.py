"""The commands of the console, one file each. Commands that change something are in `manage`."""
