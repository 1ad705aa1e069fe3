"""Images and labels → the small CNN behind `recognition` and the Fréchet distances.

Without labels there is nothing to learn: an untrained network of one class is written, and
`evaluate` leaves those figures out.
"""

import torch

from geovq.batches import as_pixels, in_batches
from geovq.data.splits import Images
from geovq.files.store import save_json, save_module
from geovq.models.classifier import Classifier
from geovq.params.sections import Params
from geovq.training.checkpoints import discard
from geovq.training.classifier import train_classifier
from stages.common import IMAGES, METRICS, MODELS, checkpoints, run


def main(params: Params) -> None:
    images, accuracy = Images.load(IMAGES), None
    labels, kept = images.train.labels, checkpoints("train_classifier")
    if labels is None or labels.max() == 0:
        print("no labels: purity, NMI, recognition and the Fréchet distances will be left out")
        torch.manual_seed(params.seed)
        classifier = Classifier(images.train.images.shape[1:], 1)
    else:
        train, validation = (
            (as_pixels(split.images), torch.from_numpy(split.labels))
            for split in (images.train, images.validation)
        )
        classifier = train_classifier(train, validation, params.train_classifier, params.seed, kept)
        (logits,) = in_batches(classifier, validation[0])
        accuracy = (logits.argmax(1) == validation[1]).double().mean().item()
    save_module(MODELS / "classifier.safetensors", classifier)
    save_json(METRICS / "train_classifier.json", {"validation_accuracy": accuracy})
    discard(kept)


if __name__ == "__main__":
    run(main)
