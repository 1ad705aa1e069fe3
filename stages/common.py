"""What the stages share: where files are, parameters in, errors out, training curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from geovq.codec.folder import END_TO_END
from geovq.errors import InputError, WeightsFileError
from geovq.params.reading import load_params
from geovq.params.sections import Params
from geovq.process import in_one_line
from geovq.training.checkpoints import checked_folder

if TYPE_CHECKING:
    import numpy as np

    from geovq.models.prior import Prior
    from geovq.models.vae import VAE
    from geovq.quantization.quantizer import GeodesicQuantizer

__all__ = [
    "TOKENIZERS",
    "checkpoints",
    "curves",
    "load_fitted",
    "run",
]

POSTHOC = ("geodesic", "euclidean")
TOKENIZERS = (*POSTHOC, *END_TO_END)
PRIORS = tuple(f"ar_{name}" for name in TOKENIZERS)

IMAGES = Path("data/images.npz")
LATENTS = Path("data/latents.npz")
MODELS = Path("data/models")
CODEBOOKS = Path("data/codebooks")
CODECS = Path("data/codecs")
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
            stage(load_params("params.yaml", images=IMAGES))
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


class Fitted(NamedTuple):
    """All that was fitted, by the names in `TOKENIZERS` where there are several."""

    vae: VAE
    quantizer: GeodesicQuantizer  # the geodesic one
    tokenizers: dict[str, Any]  # each a `Tokenizer`
    priors: dict[str, Prior]
    tokens: dict[str, dict[str, np.ndarray]]  # of every split


def load_fitted() -> Fitted:
    """Open the model folders, and the tokens that have to be theirs."""
    from geovq.codec.codec import Codec
    from geovq.files.fingerprint import fingerprint
    from geovq.files.store import load_npz

    codecs: dict[str, Any] = {name: Codec.load(CODECS / name) for name in TOKENIZERS}
    tokens = {}
    for name, codec in codecs.items():
        path = TOKENS / f"{name}.npz"
        tokens[name] = load_npz(path, "train", "validation", "test", "vectors", kind="tokens")
        codec.check_codebook(str(path), fingerprint([tokens[name]["vectors"]]))
    return Fitted(
        codecs["geodesic"].tokenizer.vae,
        codecs["geodesic"].quantizer,
        {name: codec.tokenizer for name, codec in codecs.items()},
        {name: codec.prior for name, codec in codecs.items()},
        tokens,
    )


def checkpoints(name: str) -> Path:
    """Folder for what a stage's training has come to; the stage discards it with its last line."""
    return checked_folder(CHECKPOINTS / name)
