"""Latents ↔ tokens: layouts, levels of a codebook, and what tokens cost."""
