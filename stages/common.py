"""What the stages share: where files are, parameters in, errors out, training curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from geovq._process import in_one_line
from geovq.errors import InputError, WeightsFileError
from geovq.params import Params, load_params
from geovq.training.checkpoints import checked_folder

if TYPE_CHECKING:
    import numpy as np

    from geovq.models.prior import Prior
    from geovq.tokenizer import Tokenizer

__all__ = [
    "TOKENIZERS",
    "checkpoints",
    "curves",
    "load_prior",
    "load_tokenizer",
    "load_tokens",
    "run",
]

POSTHOC = ("geodesic", "euclidean")
TOKENIZERS = (*POSTHOC, "vqvae")

IMAGES = Path("data/images.npz")
LATENTS = Path("data/latents.npz")
MODELS = Path("data/models")
CODEBOOKS = Path("data/codebooks")
CODES = Path("data/codes")
TOKENS = Path("data/tokens")
CURVES = Path("data/curves")
CHECKPOINTS = Path(".geovq/checkpoints")
METRICS = Path("metrics")
PLOTS = Path("plots")
PICTURES = PLOTS / "images"
RESULTS = Path("docs/results")


def run(stage: Callable[[Params], None]) -> None:
    """Run a stage; whatever goes wrong ends it with one line and a status, not with a traceback."""
    with in_one_line(bad_input=1):
        try:
            stage(load_params("params.yaml"))
        except WeightsFileError as error:
            raise InputError(
                f"{error}; `dvc repro` computes it, `dvc checkout --force` restores it"
            ) from None


@contextmanager
def curves(name: str) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """Give a logger of live training curves, written to `data/curves/NAME` as training goes."""
    from dvclive import Live

    # Without these two settings DVCLive rewrites dvc.yaml and commits an experiment of its own.
    with Live(str(CURVES / name), dvcyaml=None, save_dvc_exp=False) as live:

        def log(step: int, values: dict[str, float]) -> None:
            live.step = step
            for key, value in values.items():
                live.log_metric(key, value)
            live.make_summary()

        yield log


def load_prior(name: str, tokenizer: Tokenizer) -> Prior:
    """The prior of one of `TOKENIZERS`, which has to be of its codes."""
    from geovq.batches import best_device
    from geovq.models.prior import Prior
    from geovq.store import load_module
    from geovq.tokenizer import check_codebook, code_vectors

    path = MODELS / f"ar_{name}.safetensors"
    prior = load_module(path, Prior)
    check_codebook(str(path), prior.config["codebook"], code_vectors(tokenizer).numpy())
    return prior.to(best_device())


def load_tokens(name: str, tokenizer: Tokenizer) -> dict[str, np.ndarray]:
    """Tokens of every split of one of `TOKENIZERS`, which have to be of its codes."""
    from geovq.fingerprint import fingerprint
    from geovq.store import load_npz
    from geovq.tokenizer import check_codebook, code_vectors

    path = TOKENS / f"{name}.npz"
    tokens = load_npz(path, "train", "validation", "test", "vectors", kind="tokens")
    own = code_vectors(tokenizer).numpy()
    check_codebook(str(path), fingerprint([tokens["vectors"]]), own)
    return tokens


def checkpoints(name: str) -> Path:
    """Folder for what a stage's training has come to; the stage discards it with its last line."""
    return checked_folder(CHECKPOINTS / name)


def load_tokenizer(name: str) -> Tokenizer:
    """One of `TOKENIZERS`, from its files."""
    from geovq.batches import best_device
    from geovq.models.code_decoder import CodeDecoder
    from geovq.models.vae import VAE
    from geovq.models.vqvae import VQVAE
    from geovq.quantizer import GeodesicQuantizer
    from geovq.store import load_module
    from geovq.tokenizer import PostHocTokenizer

    device = best_device()
    if name not in POSTHOC:
        return load_module(MODELS / f"{name}.safetensors", VQVAE).to(device)
    return PostHocTokenizer(
        load_module(MODELS / "vae.safetensors", VAE).to(device),
        GeodesicQuantizer.load(CODEBOOKS / f"{name}.npz"),
        load_module(MODELS / f"decoder_{name}.safetensors", CodeDecoder).to(device),
    )
