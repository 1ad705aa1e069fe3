"""Distortion against rate: post-hoc codes, refined and not, beside end-to-end ones."""
