"""The parameters: what is allowed, how they are read, and how mistakes are told."""
