"""The training loop against the one a user would write first.

    python -m benchmarks.training_loop --root ../shared/data

The other loop: torchvision's MNIST with ToTensor, a shuffling DataLoader, Adam, binary cross
entropy on sigmoid outputs, and the loss read at every step. Same model, same batch size, same
number of steps, one process, in turns; medians over the rounds.
"""

import argparse
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from tabulate import tabulate
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from geovq.batches import as_pixels
from geovq.data.sets import load_images
from geovq.models.vae import VAE
from geovq.params.reading import load_params
from geovq.training.loop import fit


def first_loop(vae: VAE, data: datasets.MNIST, batch_size: int, steps: int) -> None:
    loader = DataLoader(data, batch_size=batch_size, shuffle=True)
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
    step, total = 0, 0.0
    while True:
        for images, _ in loader:
            images = images.squeeze(1)
            mean, log_variance = vae.encode(images)
            z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
            bce = F.binary_cross_entropy(torch.sigmoid(vae.decode(z)), images, reduction="sum")
            kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
            loss = (bce + kl) / len(images)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            step += 1
            if step == steps:
                return


def our_loop(vae: VAE, pixels: Tensor, steps: int) -> None:
    budget = load_params("params.yaml").train_vae.model_copy(
        update={"max_steps": steps, "evaluate_every": steps}
    )

    def negative_elbo(batch: Tensor, generator: torch.Generator) -> Tensor:
        bce, kl = vae(batch, generator)
        return bce + kl

    fit(vae, negative_elbo, [pixels], [pixels[:128]], budget, seed=0, title="geovq")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="torchvision's root folder, with MNIST")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    naive_data = datasets.MNIST(options.root, train=True, transform=transforms.ToTensor())
    pixels = as_pixels(load_images("mnist", root=options.root).train.images)
    batch_size = load_params("params.yaml").train_vae.batch_size
    rows = []
    for hidden in ([400], [512, 512]):
        times: dict[str, list[float]] = {"first": [], "geovq": []}
        for _ in range(options.rounds + 1):  # the first round warms up
            for name, column in times.items():
                vae = VAE((28, 28), 20, hidden)
                start = time.perf_counter()
                if name == "first":
                    first_loop(vae, naive_data, batch_size, options.steps)
                else:
                    our_loop(vae, pixels, options.steps)
                column.append(1000 * (time.perf_counter() - start) / options.steps)
        first, ours = times["first"][1:], times["geovq"][1:]
        ratios = [a / b for a, b in zip(first, ours, strict=True)]
        rows.append(
            [
                "-".join(map(str, [784, *hidden, 20])),
                statistics.median(first),
                statistics.median(ours),
                statistics.median(ratios),
                f"{min(ratios):.2f} to {max(ratios):.2f}",
            ]
        )
    headers = ["network", "first loop, ms/step", "geovq, ms/step", "ratio (median)", "ratios"]
    sys.stdout.write(f"{torch.get_num_threads()} threads, batch {batch_size}\n")
    sys.stdout.write(tabulate(rows, headers, floatfmt=".2f") + "\n")


if __name__ == "__main__":
    main()
