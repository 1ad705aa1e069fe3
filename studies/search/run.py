"""The searches for hyperparameters, each on DVC's own experiment queue.

    python -m studies.search docs/results/search-graph graph --dataset mnist \
        --root ../shared/data

Every combination is one queued experiment, as `dvc exp run --queue -S KEY=VALUE,VALUE` makes them,
run as far as the stage whose figure decides: nothing that the searched parameters leave as it is
runs again. Figures are those of the validation split. The experiments, called after the folder,
stay: `dvc exp show` lists them, `dvc exp apply NAME` takes one over. A search that was stopped
finds its finished stages in DVC's run cache. Other experiments that wait in the queue run too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dvc.api import DVCFileSystem
from ruamel.yaml import YAML

from geovq.errors import InputError
from geovq.files.store import save_figure, save_json
from studies import common as studies
from studies.scores import Row
from studies.search.page import draw, page

Read = Callable[[str], dict[str, Any]]  # name of a file in metrics/, without .json → its figures
QUICK = {
    key: value
    for section in ("train_vae", "train_vqvae", "train_ar", "refine.codes", "refine.decoder")
    for key, value in ((f"{section}.max_steps", 20), (f"{section}.evaluate_every", 10))
} | {"train_vqvae.warmup_steps": 5}


def vae_total(read: Read, tokens: int) -> float:
    return read("train_vae")["validation_loss"]


def vqvae_bce(read: Read, tokens: int) -> float:
    return read("train_vqvae")["validation_bce"]


def code_length(read: Read, tokens: int) -> float:
    return read("train_ar_geodesic")["validation_bits_per_token"] * tokens * math.log(2)


def geodesic_total(read: Read, tokens: int) -> float:
    return read("refine_geodesic")["validation_bce_final"] + code_length(read, tokens)


@dataclass(frozen=True)
class Search:
    """Parameters and their values, and what decides between them: the lowest figure.

    Attributes
    ----------
    grid : dict of str to list
        Values of each parameter; all combinations run.
    document : dict of str to value
        What the document that geovq follows chose.
    target : str
        Stage of dvc.yaml up to which an experiment runs.
    score : callable
        Metrics and number of tokens → nats per validation image.
    meaning : str
        Of the score.
    """

    grid: dict[str, list[Any]]
    document: dict[str, Any]
    target: str
    score: Callable[[Read, int], float]
    meaning: str


SEARCHES = {
    "latent_dim": Search(
        {"train_vae.latent_dim": [10, 20, 30]},
        {"train_vae.latent_dim": 20},
        "train_vae",
        vae_total,
        "negative ELBO of the VAE",
    ),
    "learning_rate": Search(
        {"train_vae.learning_rate": [1e-3, 5e-4, 1e-4]},
        {"train_vae.learning_rate": 1e-3},
        "train_vae",
        vae_total,
        "negative ELBO of the VAE",
    ),
    "commitment": Search(
        {"train_vqvae.commitment": [0.1, 0.25, 0.5]},
        {"train_vqvae.commitment": 0.25},
        "train_vqvae",
        vqvae_bce,
        "bce of the VQ-VAE",
    ),
    "graph": Search(
        {"geodesic_quantize.neighbors": [5, 10, 15], "geodesic_quantize.codes": [32, 64, 128]},
        {"geodesic_quantize.neighbors": 10, "geodesic_quantize.codes": 64},
        "train_ar@geodesic",
        geodesic_total,
        "bce plus code length of the geodesic codes: with more codes the rate rises, so that bce "
        "alone would not compare",
    ),
    "prior": Search(
        {
            "train_ar.cell": ["gru", "lstm"],
            "train_ar.embed_dim": [32, 64],
            "train_ar.hidden_dim": [128, 256],
        },
        {"train_ar.cell": "gru", "train_ar.embed_dim": 64, "train_ar.hidden_dim": 128},
        "train_ar@geodesic",
        code_length,
        "code length of the geodesic tokens under the prior",
    ),
}


def fixed(options: argparse.Namespace) -> dict[str, Any]:
    """Parameters that all experiments share."""
    shared: dict[str, Any] = {"prepare.dataset": options.dataset}
    # Experiments run in folders of their own.
    shared["prepare.root"] = str(options.root.resolve())
    return shared | (QUICK if options.quick else {})


def queue(search: Search, shared: dict[str, Any], seeds: int, name: str) -> None:
    """Queue one experiment for every combination and seed, and run the queue."""
    sweeps = {key: ",".join(map(str, values)) for key, values in search.grid.items()}
    changes = shared | sweeps | {"seed": ",".join(map(str, range(seeds)))}
    words = [word for key, value in changes.items() for word in ("-S", f"{key}={value}")]
    old = [one for one in experiments() if one.rsplit("-", 1)[0] == name]
    if old:
        subprocess.run(["dvc", "exp", "remove", "--quiet", *old], check=True)
    command = ["dvc", "exp", "run", "--quiet", "--queue", "--name", name, *words, search.target]
    subprocess.run(command, check=True)
    subprocess.run(["dvc", "exp", "run", "--run-all"], check=True)


def experiments() -> list[str]:
    """Names of all experiments, also of commits that HEAD has left while a search ran."""
    command = ["dvc", "exp", "list", "--all-commits", "--name-only"]
    return subprocess.check_output(command, text=True).split()


def collect(search: Search, seeds: int, name: str) -> list[Row]:
    """One row an experiment: its searched parameters, seed and score."""
    rows = []
    for one in experiments():
        if one.rsplit("-", 1)[0] != name:
            continue
        files = DVCFileSystem(rev=one)

        def read(metrics: str, files: DVCFileSystem = files) -> dict[str, Any]:
            return json.loads(files.read_text(f"metrics/{metrics}.json"))

        params = YAML(typ="safe").load(files.read_text("params.yaml"))
        found = {key: _at(params, key) for key in search.grid}
        score = search.score(read, _at(params, "geodesic_quantize.tokens"))
        rows.append(found | {"seed": params["seed"], "score": score})
    wanted = itertools.product(*search.grid.values(), range(seeds))
    order = {combination: i for i, combination in enumerate(wanted)}
    done = {tuple(row[key] for key in (*search.grid, "seed")) for row in rows}
    if missing := set(order) - done:
        raise InputError(f"{len(missing)} of {len(order)} experiments failed; `dvc queue logs`")
    return sorted(rows, key=lambda row: order[tuple(row[key] for key in (*search.grid, "seed"))])


def _at(tree: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        tree = tree[part]
    return tree


def main(arguments: Sequence[str] | None = None) -> None:
    parser = studies.parser(__doc__, seeds=1)
    parser.add_argument("search", choices=SEARCHES, help="what is searched for")
    options = parser.parse_args(arguments)
    search, name = SEARCHES[options.search], options.folder.name
    queue(search, fixed(options), options.seeds, name)
    rows = collect(search, options.seeds, name)
    save_json(options.folder / "scores.json", {"dataset": options.dataset, "rows": rows})
    title = f"{options.dataset}: {search.meaning.partition(':')[0]}"
    save_figure(options.folder / "search.png", draw(search.grid, search.document, rows, title))
    text = page(search.grid, search.document, rows, options.dataset, search.meaning)
    studies.write_page(options.folder, text)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
