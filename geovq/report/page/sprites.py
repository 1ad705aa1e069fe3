"""Images as PNG files in data URIs: strips for the eye, sheets that the script cuts up.

They are grey, (N, H, W), or in colour, (N, H, W, 3); the former stands for both.
"""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

__all__ = ["COLUMNS", "MAX_SIDE", "as_bytes", "sheet", "strip"]

COLUMNS = 32  # images a row of a sheet
MAX_SIDE = 64  # pixels; larger images are shrunk, so that any data set makes a page of some MB
GAP = 2  # transparent pixels between the images of a strip


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1], or 8-bit already, (N, H, W) → uint8 of at most `MAX_SIDE` a side."""
    if images.dtype != np.uint8:
        images = np.round(255 * images).astype(np.uint8)
    longest = max(images.shape[1:3])
    if longest <= MAX_SIDE:
        return images
    height, width = (max(1, side * MAX_SIDE // longest) for side in images.shape[1:3])
    small = [Image.fromarray(one).resize((width, height), Image.Resampling.BOX) for one in images]
    return np.stack([np.asarray(one) for one in small])


def sheet(images: np.ndarray) -> str:
    """Images (N, H, W) in rows of `COLUMNS`, without gaps, as the URI of a PNG."""
    images = as_bytes(images)
    count, height, width, *channels = images.shape
    rows = -(-count // COLUMNS)
    cells = np.zeros((rows * COLUMNS, height, width, *channels), np.uint8)
    cells[:count] = images
    cells = cells.reshape(rows, COLUMNS, height, width, *channels).swapaxes(1, 2)
    return _uri(Image.fromarray(cells.reshape(rows * height, COLUMNS * width, *channels)))


def strip(images: np.ndarray) -> str:
    """Images (N, H, W) side by side, transparent gaps between, as the URI of a PNG."""
    images = as_bytes(images)
    images = images[..., None] if images.ndim == 3 else images
    count, height, width, channels = images.shape
    row = np.zeros((height, count, width + GAP, channels + 1), np.uint8)  # the last is opacity
    row[:, :, :width, :-1] = images.swapaxes(0, 1)
    row[:, :, :width, -1] = 255
    return _uri(Image.fromarray(row.reshape(height, -1, channels + 1)[:, :-GAP]))


def _uri(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
