"""Networks: tensors in, tensors out.

Images are float32 in [0, 1], grey (N, H, W) or colour (N, H, W, 3); where (N, H, W) is said alone,
it stands for both. Decoders return logits of that shape, and sigmoid(logits) is the expected pixel.
Every module keeps the arguments that rebuild it in `config`.
"""
