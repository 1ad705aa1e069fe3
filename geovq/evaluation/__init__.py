"""The yardstick: every figure is per image, on held-out images, and the same for every tokeniser.

`bce` is −log p(x | code) under the likelihood that the models were trained with, in nats per image.
Bernoulli's, on grey or colour values in [0, 1], are no bits/dim of a discrete image model; the
discretised logistic's are, once divided by log 2 and the number of values in an image. Images are
(N, H, W) or (N, H, W, 3), of which the former stands for both.
"""

from geovq.evaluation.score import Judge, score_codec, score_data, score_tokenizer, score_vae

__all__ = ["Judge", "score_codec", "score_data", "score_tokenizer", "score_vae"]
