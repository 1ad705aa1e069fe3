"""MNIST and the sets of its format: read where they lie, else downloaded, over https only."""

from __future__ import annotations

import gzip
import hashlib
import math
import urllib.request
import zlib
from pathlib import Path

import numpy as np

from geovq.errors import InputError
from geovq.files.reading import gigabytes, one_line, open_regular
from geovq.files.writing import new_file

__all__ = ["SETS", "load_set", "read_idx"]

# Name → torchvision's class, which knows the checksums. Its own downloads are or become plain http.
SETS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
MIRRORS = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion_mnist": "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "kmnist": "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
}
FILES = ("{}-images-idx3-ubyte", "{}-labels-idx1-ubyte")
LARGEST = 100_000_000  # bytes, packed or not; the sets' own files have 47 million at most


def load_set(dataset: str, root: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the images and labels of one part of a set.

    Parameters
    ----------
    dataset : {'mnist', 'fashion_mnist', 'kmnist'}
    root : Path
        Files lie in NAME/raw, NAME being torchvision's. What is absent there is downloaded, only
        over https, and kept only if its checksum is the published one.
    part : {'train', 't10k'}

    Returns
    -------
    images : ndarray of shape (N, H, W), uint8
    labels : ndarray of shape (N,), int64

    Raises
    ------
    InputError
        Files are absent and cannot be downloaded, or are not whole.
    """
    folder = root / SETS[dataset] / "raw"
    paths = [_found(dataset, folder, name.format(part)) for name in FILES]
    images, labels = (read_idx(path, axes) for path, axes in zip(paths, (3, 1), strict=True))
    if len(images) != len(labels):
        raise InputError(
            f"{paths[1]}: {len(labels)} labels; allowed: {len(images)}, for the images beside them"
        )
    return images, labels.astype(np.int64)


def read_idx(path: Path, axes: int) -> np.ndarray:
    """Read an array of bytes, which may be packed by gzip.

    Raises
    ------
    InputError
        The file is absent, not whole, or of another kind or number of axes.
    """
    with open_regular(path, "idx file") as stream:
        try:
            opened = gzip.GzipFile(fileobj=stream) if path.suffix == ".gz" else stream
            header = opened.read(4 * (axes + 1))
            kind, *shape = np.frombuffer(header, ">u4").tolist()
            if kind != 0x0800 + axes or len(shape) != axes:
                raise ValueError(f"its header is no header of bytes in {axes} axes")
            size = math.prod(shape)
            if not 0 < size <= LARGEST:
                raise ValueError(f"its header claims {gigabytes(size)}")
            data = opened.read(size + 1)
            if len(data) != size:
                raise ValueError(f"{size} bytes declared, {len(data)} or more there")
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise InputError(
                f"{path}: not a whole idx file ({one_line(error)}); remove it, and it is downloaded"
            ) from None
    return np.frombuffer(bytearray(data), np.uint8).reshape(shape)


def _found(dataset: str, folder: Path, name: str) -> Path:
    """A file or its packed form; downloaded if there is neither."""
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.exists():
        return plain
    if not packed.exists():
        try:
            data = _download(dataset, packed.name)
        except OSError as error:
            raise InputError(
                f"dataset = {dataset}: {name} is not in {folder.resolve()} and could not be "
                f"downloaded from {MIRRORS[dataset]} ({one_line(error)}). Expected there: "
                "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, "
                "t10k-labels-idx1-ubyte (or the same names with .gz). "
                "The data set that needs no download is digits."
            ) from None
        with new_file(packed, ".gz") as stream:
            stream.write(data)
    return packed


def _download(dataset: str, name: str) -> bytes:
    """A published file, seen to be what was published."""
    from torchvision import datasets

    checksum = dict(getattr(datasets, SETS[dataset]).resources)[name]
    with urllib.request.urlopen(MIRRORS[dataset] + name, timeout=60) as response:
        if not response.url.startswith("https:"):
            raise OSError(f"it leads to {response.url}; allowed: https")
        data = response.read(LARGEST)
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != checksum:
        raise OSError("its checksum is not the published one")
    return data
