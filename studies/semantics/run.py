"""How much of an image's class a few bits carry: geodesic codes and rivals, over several VAEs.

    python -m studies.semantics docs/results/semantics --dataset mnist --root ../shared/data

No method sees a label. Every one clusters the posterior means of the same VAEs, one VAE a seed,
and encodes unseen images by the same rule: the vote of the 10 nearest training latents. Settings
of the geodesics are chosen at 16 codes by stability: the adjusted Rand index between the codes that
different VAEs give to the same validation images. Test labels are for the tables alone. VQ-VAEs of
one token, trained for at most as many steps, come last. Networks are those of params.yaml.

`--latents grid` takes convolutional VAEs, `pca` and `pixels` none at all; `--kl-weight 0.1` trains
VAEs of another weight of the KL term, which a VQ-VAE does not have. Pieces that scores.json has
already are not computed again, and the page is written after every slow method, so that a run may
be stopped.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from geovq.data.splits import Images
from geovq.files.store import save_figure
from geovq.params.reading import load_params
from geovq.params.sections import Params
from studies import common as studies
from studies.scores import Row, Scores, settings
from studies.semantics import figures
from studies.semantics import page as words
from studies.semantics.clusterings import (
    Clustering,
    Decayed,
    Evened,
    Fisher,
    Geodesic,
    Iterated,
    KMeans,
    Leiden,
    SmoothedKMeans,
    Spectral,
    options_of,
)
from studies.semantics.latents import KINDS, Run, end_to_end, ensembles, kept_in, make_runs
from studies.semantics.scores import piece

CODES = (10, 16, 32, 64, 128, 256)
POWERS, SMOOTHINGS, NEIGHBORS = (1, 2, 3, 4), (0, 3, 8, 20, 30), (5, 20)
QUICK_POWERS, QUICK_SMOOTHINGS = (1, 3), (0, 8)
FEW_CODES = (16, 64)  # at which what is slow runs
PUBLISH_EVERY = 20  # seconds, or kept scores would be drawn nine times over
MEMBERS = 3  # VAEs of an ensemble
TRAINED = {"vae": ("train_vae", "train_vqvae"), "grid": ("train_vae",)}  # what params.yaml decides
# The profile of the grid of tokens in docs/pipeline.md.
GRID = {"architecture": "conv", "hidden": [32, 64, 128], "latent_dim": 64}


class Study:
    """Scores of clusterings; images, latents and networks are made when a score is missing."""

    def __init__(self, options: argparse.Namespace, params: Params) -> None:
        weight = 1.0 if options.kl_weight is None else options.kl_weight
        change = {"kl_target": None, "kl_weight": weight}
        change |= GRID if options.latents == "grid" else {}
        network = params.train_vae.model_copy(update=change)
        params = params.model_copy(update={"train_vae": network})
        self.options, self.params = options, params
        sections = ("prepare", *TRAINED.get(options.latents, ()))
        self.decides = {"dataset": options.dataset, **settings(params, *sections)}
        counted = {"latents": options.latents, "seeds": options.seeds}
        self.scores = Scores(options.folder, self.decides | counted)
        self.folder = kept_in(options.models / options.dataset, self.decides)

    @cached_property
    def images(self) -> Images:
        return studies.images_of(self.options, self.params)

    @cached_property
    def runs(self) -> list[Run]:
        options = self.options
        return make_runs(options.latents, self.images, self.params, options.seeds, self.folder)

    @cached_property
    def ensembles(self) -> list[Run]:
        return ensembles(self.runs, MEMBERS)

    def cluster(self, clustering: Clustering, codes: int, members: int = 1) -> Row:
        """Scores of a clustering of every run, or of every ensemble."""

        def make() -> Iterator[Row]:
            found, seconds = [], []
            runs = self.runs if members == 1 else self.ensembles
            for seed, run in enumerate(runs):
                posteriors = isinstance(clustering, Fisher)
                points = run.posteriors if posteriors else run.latents["train"]
                start = time.perf_counter()
                labels = clustering(points, codes, seed)
                seconds.append(time.perf_counter() - start)
                found.append(run.encode(labels))
            yield piece(found, [run.rows for run in runs], self.images, seconds)

        key = {**options_of(clustering), "codes": codes, "members": members}
        return self.scores.piece(key, make)[0]

    def vqvae(self, codes: int) -> Row:
        """Scores of VQ-VAEs; their seconds would be those of a training, so there are none."""
        seeds = self.options.vqvae_seeds

        def make() -> Iterator[Row]:
            arguments = self.images, self.params, codes
            found = [end_to_end(*arguments, seed, self.folder) for seed in range(seeds)]
            rows = [np.arange(len(tokens["train"])) for tokens in found]
            yield piece(found, rows, self.images, None)

        key = {"clustering": words.END_TO_END, "codes": codes, "runs": seeds}
        return self.scores.piece(key, make)[0]

    def sweep(self) -> tuple[list[Row], list[Row], Geodesic]:
        """Settings on a grid, settings around the most stable of them, the most stable of all."""
        quick = self.options.quick
        powers = QUICK_POWERS if quick else POWERS
        smoothings = QUICK_SMOOTHINGS if quick else SMOOTHINGS
        grid = [Geodesic(p, s) for p, s in itertools.product(powers, smoothings)]
        tried = {setting: self.cluster(setting, words.CHOSEN_AT) for setting in grid}
        center = max(tried, key=lambda setting: tried[setting]["stability"])
        around = [replace(center, neighbors=k) for k in NEIGHBORS]
        around += [replace(center, whitened=False)] if center.smoothing else []
        tried |= {setting: self.cluster(setting, words.CHOSEN_AT) for setting in around}
        chosen = max(tried, key=lambda setting: tried[setting]["stability"])
        return [tried[s] for s in grid], [tried[s] for s in around], chosen

    def plan(self, chosen: Geodesic) -> dict[str, list[Callable[[], Row]]]:
        """Of every method, what makes its rows, one for each number of codes; slow ones last."""
        codes, size = self.options.codes, min(MEMBERS, self.options.seeds)
        few = [k for k in FEW_CODES if k in codes]
        # Without smoothing there is nothing to vary: then the most that was tried.
        setting = chosen.edge_power, chosen.smoothing or max(SMOOTHINGS), chosen.whitened
        planned: dict[str, tuple[Clustering, Sequence[int]]] = {
            words.GEODESIC: (chosen, codes),
            words.EUCLIDEAN: (KMeans(), codes),
            "geodesic, plain": (Geodesic(), codes),
            "k-means, smoothed": (SmoothedKMeans(setting[1]), codes),
            "spectral": (Spectral(), codes),
            "geodesic, iterated": (Iterated(*setting), [words.CHOSEN_AT]),
            "geodesic, decay": (Decayed(*setting), [words.CHOSEN_AT]),
            "geodesic, even cells": (Evened(*setting), [words.CHOSEN_AT]),
            "Leiden": (Leiden(), few),
        }
        if self.options.latents in TRAINED:
            planned["geodesic, Fisher"] = Fisher(*setting[:2]), few
        makers: dict[str, list[Callable[[], Row]]] = {
            name: [partial(self.cluster, method, k) for k in at]
            for name, (method, at) in planned.items()
        }
        if self.options.latents == "vae":
            for name in (words.GEODESIC, words.EUCLIDEAN):
                makers[words.ENSEMBLE.format(size, name)] = [
                    partial(self.cluster, planned[name][0], k, size) for k in few
                ]
            makers[words.END_TO_END] = [partial(self.vqvae, k) for k in few]
        return makers


def publish(
    options: argparse.Namespace,
    swept: tuple[list[Row], list[Row], Row],
    methods: words.Methods,
    missing: list[str],
) -> str:
    """Write the page and its pictures; returns the page."""
    folder, dataset = options.folder, options.dataset
    if options.kl_weight is not None:
        dataset += f", KL weight {options.kl_weight:g}"
    source = "" if options.latents == "vae" else f" ({options.latents})"
    title = f"{dataset}{source}: what one token tells about the class"
    curves = {name: rows for name, rows in methods.items() if name in figures.LOOKS}
    save_figure(folder / "purity.png", figures.purity_curve(curves, title))
    save_figure(folder / "cost.png", figures.cost_curve(curves, f"{title}, and its cost"))
    chosen = f"{dataset}{source}, {words.CHOSEN_AT} geodesic codes"
    save_figure(folder / "choice.png", figures.choice(*swept, chosen))
    text = "\n\n".join(
        [
            words.about(dataset, options.latents, options.seeds, methods, missing),
            words.findings(methods),
            words.choice(*swept),
            words.table(methods),
        ]
    )
    studies.write_page(folder, text)
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    parser = studies.parser(__doc__, seeds=5)
    parser.add_argument("--latents", choices=KINDS, default="vae", help="what is clustered")
    parser.add_argument("--kl-weight", type=float, help="of the VAEs, if not that of params.yaml")
    parser.add_argument("--codes", type=int, nargs="+", default=CODES, help="numbers of codes")
    parser.add_argument("--vqvae-seeds", type=int, default=3)
    parser.add_argument(
        "--models", type=Path, default=Path("data/semantics"), help="kept latents and tokens"
    )
    options = parser.parse_args(arguments)
    if min(options.seeds, options.vqvae_seeds) < 2:
        parser.error("one seed has no spread and no stability; allowed: at least 2")
    options.codes = sorted({*options.codes, words.CHOSEN_AT})
    params = load_params("params.yaml")
    study = Study(options, studies.quick(params) if options.quick else params)
    text, published = "", time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of joined components
        grid, around, chosen = study.sweep()
        best = study.cluster(chosen, words.CHOSEN_AT)
        plan = study.plan(chosen)
        methods: words.Methods = {}
        for name, makers in plan.items():
            methods[name] = [make() for make in makers]
            missing = [other for other in plan if other not in methods]
            if missing and time.monotonic() - published < PUBLISH_EVERY:
                continue
            text = publish(options, (grid, around, best), methods, missing)
            published = time.monotonic()
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
