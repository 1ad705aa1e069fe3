"""Decoded paths between images: along the graph of latents, and straight through latent space.."""
