"""The command `geovq`."""
