"""Scores → table, figures and page."""
