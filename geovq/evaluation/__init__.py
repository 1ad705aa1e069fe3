"""The yardstick: every figure is per image, on held-out images, and the same for every tokeniser.

Likelihoods are Bernoulli on grey pixels (targets in [0, 1]), in nats per image; they are no
bits/dim of a discrete image model.
"""

from geovq.evaluation.score import Judge, score_data, score_tokenizer, score_vae

__all__ = ["Judge", "score_data", "score_tokenizer", "score_vae"]
