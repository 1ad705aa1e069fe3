"""Files: the only writer, marks and hashes, formats, and what is checked on reading."""
