"""Data set → images in three splits."""

from pathlib import Path

from geovq.data.sets import load_images
from geovq.files.store import save_npz
from geovq.params.sections import Params
from stages.common import IMAGES, run


def find(path: str) -> Path:
    """Resolve a relative path from here or from a folder above.

    DVC runs queued and temporary experiments in a copy inside `.dvc/tmp`, where a path that is
    relative to the project would otherwise lead nowhere.
    """
    here = Path.cwd()
    return next(
        (base / path for base in (here, *here.parents) if (base / path).exists()), Path(path)
    )


def main(params: Params) -> None:
    p = params.prepare
    images = load_images(
        p.dataset,
        root=find(p.root),
        file=p.file,
        validation_fraction=p.validation_fraction,
        test_fraction=p.test_fraction,
        seed=params.seed,
    )
    save_npz(IMAGES, "images", **images.arrays())
    sizes = ", ".join(f"{len(split)} {name}" for name, split in vars(images).items())
    print(f"{p.dataset}: {sizes} images of {images.test.images.shape[1:]} pixels")


if __name__ == "__main__":
    run(main)
