"""Images and labels → the small CNN behind `recognition` and the Fréchet distances.

Without labels there is nothing to learn: an untrained network of one class is written, and
`evaluate` leaves those figures out.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from geovq.data import Images
from geovq.models import Classifier
from geovq.params import Params
from geovq.store import save_json, save_module
from geovq.training import as_pixels, fit, in_batches
from stages.common import IMAGES, METRICS, MODELS, run


def main(params: Params) -> None:
    images = Images.load(IMAGES)
    labels = images.train.labels
    classes = 1 if labels is None else int(labels.max()) + 1
    torch.manual_seed(params.seed)
    classifier = Classifier(images.train.images.shape[1:], classes)

    def cross_entropy(batch: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        return F.cross_entropy(classifier(batch), targets, reduction="none")

    accuracy = None
    if classes > 1:
        train, validation = (
            [as_pixels(split.images), torch.from_numpy(split.labels)]
            for split in (images.train, images.validation)
        )
        fit(
            classifier,
            cross_entropy,
            train,
            validation,
            params.train_classifier,
            seed=params.seed,
            title="classifier",
        )
        (logits,) = in_batches(classifier, validation[0])
        accuracy = (logits.argmax(1) == validation[1]).double().mean().item()
    else:
        print("no labels: purity, NMI, recognition and the Fréchet distances will be left out")
    save_module(MODELS / "classifier.safetensors", classifier)
    save_json(METRICS / "train_classifier.json", {"validation_accuracy": accuracy})


if __name__ == "__main__":
    run(main)
