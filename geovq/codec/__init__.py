"""Images ↔ tokens, and all that is fitted to one's own data, in one folder."""
