"""Networks: tensors in, tensors out.

Images are float32 in [0, 1] of shape (N, H, W); decoders return Bernoulli logits of that shape.
Every module keeps the arguments that rebuild it in `config`.
"""

from geovq.models.classifier import Classifier
from geovq.models.code_decoder import CodeDecoder
from geovq.models.prior import Prior
from geovq.models.vae import VAE
from geovq.models.vqvae import VQVAE

__all__ = ["VAE", "VQVAE", "Classifier", "CodeDecoder", "Prior"]
