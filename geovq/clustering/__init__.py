"""Points → k-NN graph → geodesics → k-means along it; no torch, no VAE."""
