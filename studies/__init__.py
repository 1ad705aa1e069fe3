"""Comparisons over seeds, data sets and settings; each folder has the run and its page."""
