"""How each network is trained: the loop, and a recipe for every model."""
