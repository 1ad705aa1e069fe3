"""Images and latents as people have them → checked arrays in three splits."""
