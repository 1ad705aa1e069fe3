"""All that is fitted to one's own images or latents: a tokeniser, and the prior of its tokens."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from geovq.batches import (
    Device,
    as_pixels,
    best_device,
    checked_device,
    in_batches,
    on_device,
)
from geovq.codec.card import model_card
from geovq.codec.describe import as_html, as_text
from geovq.codec.fitting import fit_images, fit_latents
from geovq.codec.folder import (
    CARD,
    CODEBOOK,
    DECODER,
    INFO,
    KIND,
    PRIOR,
    VAE_WEIGHTS,
)
from geovq.codec.images import as_array
from geovq.codec.loading import NETWORKS, load_parts
from geovq.codec.pace import Pace
from geovq.codec.settings import settings
from geovq.codec.sharing import fetched, is_local, send
from geovq.codec.tokenizer import (
    Autoencoder,
    PostHocTokenizer,
    Tokenizer,
    check_codebook,
    code_vectors,
)
from geovq.data.arrays import as_latents
from geovq.data.pixels import as_8_bit, as_colour
from geovq.errors import InputError
from geovq.files.fingerprint import fingerprint
from geovq.files.store import save_json, save_module
from geovq.files.writing import new_file, new_folder
from geovq.models.code_decoder import CodeDecoder
from geovq.models.prior import Prior
from geovq.models.vae import VAE
from geovq.quantization.quantizer import GeodesicQuantizer
from geovq.training.callbacks import Callback, Listeners
from geovq.training.checkpoints import checked_folder

__all__ = ["Codec"]

MOST_SAMPLES = 10_000_000  # drawn at once
OURS: tuple[type[nn.Module], ...] = (
    VAE,
    CodeDecoder,
    Prior,
    *NETWORKS.values(),
)  # are saved; a VAE of the user's is not

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def _on_its_device(
    method: Callable[Concatenate[Codec, Arguments], Result],
) -> Callable[Concatenate[Codec, Arguments], Result]:
    """Let what a method calls compute where the networks are."""

    @wraps(method)
    def there(self: Codec, /, *args: Arguments.args, **options: Arguments.kwargs) -> Result:
        with on_device(self.device):
            return method(self, *args, **options)

    return there


class Codec:
    """Images or latents ↔ tokens, and new tokens from a prior.

    Made by `fit`, `fit_latents` or `load`, and by the pipeline, of post-hoc codes and of those of
    the VQ-VAE.

    Attributes
    ----------
    quantizer : GeodesicQuantizer or None
        Latents ↔ tokens; None of a VQ-VAE.
    tokenizer : Tokenizer or None
        Images ↔ tokens; None where only latents are known.
    prior : Prior or None
    info : dict
        What `info.json` holds: sizes, rate, figures on the validation split, settings.
    device : torch.device
        Where its networks are, and compute; `to` moves them.

    Examples
    --------
    >>> import numpy as np
    >>> from geovq import Codec
    >>> means = np.random.default_rng(0).standard_normal((500, 6))
    >>> codec = Codec.fit_latents(means, codes=8, tokens=2, train_ar=None)
    >>> codec.encode_latents(means).shape
    (500, 2)
    """

    def __init__(
        self,
        quantizer: GeodesicQuantizer | None,
        tokenizer: Tokenizer | None,
        prior: Prior | None,
        info: dict[str, Any],
    ) -> None:
        self.quantizer = quantizer
        self.tokenizer = tokenizer
        self.prior = prior
        self.info = info
        self.device = best_device()
        if prior is not None:
            self.check_codebook("prior", prior.config["codebook"])

    @classmethod
    def fit(
        cls,
        images: ArrayLike | Tensor | Dataset[Any] | DataLoader[Any],
        *,
        channels: str | None = None,
        vae: Autoencoder | None = None,
        checkpoints: str | os.PathLike[str] | None = None,
        device: Device | None = None,
        callbacks: Sequence[Callback] = (),
        **options: Any,
    ) -> Codec:
        """Train a VAE, quantise its latents, refine the codes, and train the prior of the tokens.

        A tenth of the images is held out: it stops the training and gives the figures in `info`.

        Parameters
        ----------
        images : array-like of shape (N, H, W) or (N, H, W, 3)
            Grey or colour, uint8 or float in [0, 1]. Or a tensor of one of these shapes, of
            (N, 1, H, W) or of (N, 3, H, W); or a torch Dataset or DataLoader that gives images so,
            alone or with labels after them, which is read once.
        channels : {'last', 'first'}, optional
            Where the channels are in an array of four axes: with 'first', images are (N, 1, H, W)
            or (N, 3, H, W). By default last, and of what comes from torch, where they can be.
        vae : Autoencoder, optional
            A VAE of your own, trained already. A module is moved to the device and set to
            evaluation. Only a `geovq.models.vae.VAE` has its codes refined.
        checkpoints : path-like, optional
            Folder, new or of an earlier call, for what training has come to: after an interruption
            the same call goes on from there, with the same result. It stays until you delete it.
        device : str or torch.device, optional
            `cpu`, `cuda`, `cuda:1` or `mps`; by default CUDA where there is one, else the CPU.
        callbacks : sequence of Callback
            Told of every evaluation, and of the end, as `geovq.training.callbacks.Callback` says.
        **options
            As in `geovq.codec.settings.settings`: `codes=16`, say, or `train_ar=None`.

        Raises
        ------
        InputError
            The images, an option, or what the VAE gives are not as said here; there is no such
            device; or the folder is not one of checkpoints.
        TrainingError
            A loss became infinite, or no number.

        Warns
        -----
        TrainingWarning
            A training came to little; the message says what to change.
        """
        absent = [] if vae is None else ["train_vae"]
        if vae is not None and not isinstance(vae, VAE):
            absent.append("refine")
        chosen = settings(options, absent)
        kept, listeners = _folder(checkpoints), Listeners(callbacks)
        found = as_8_bit(as_array(images, channels, fitting=True))
        with on_device(device):
            codec = cls(*fit_images(found, vae, chosen, kept, Pace(chosen, listeners.log)))
        listeners.end(codec.info)
        return codec

    @classmethod
    def fit_latents(
        cls,
        means: ArrayLike,
        log_variances: ArrayLike | None = None,
        *,
        checkpoints: str | os.PathLike[str] | None = None,
        device: Device | None = None,
        callbacks: Sequence[Callback] = (),
        **options: Any,
    ) -> Codec:
        """Quantise latents and train the prior of their tokens; no image is needed.

        Parameters
        ----------
        means : array-like of shape (N, D)
        log_variances : array-like of shape (N, D), optional
            Without them the metric is `euclidean` unless told otherwise.
        checkpoints, device, callbacks, **options
            As in `fit`.

        Raises
        ------
        InputError
            The latents or an option are not as said here.
        TrainingError
            As in `fit`.

        Warns
        -----
        TrainingWarning
            As in `fit`.
        """
        if log_variances is None:
            options = {"metric": "euclidean"} | options
        chosen = settings(options, absent=["train_vae", "refine"])
        points, spread = as_latents(means, log_variances)
        kept, listeners = _folder(checkpoints), Listeners(callbacks)
        with on_device(device):
            codec = cls(*fit_latents(points, spread, chosen, kept, Pace(chosen, listeners.log)))
        listeners.end(codec.info)
        return codec

    @_on_its_device
    def encode(
        self,
        images: ArrayLike | Tensor | Dataset[Any] | DataLoader[Any],
        *,
        channels: str | None = None,
        progress: bool = False,
    ) -> np.ndarray:
        """Images of the shape fitted on, uint8 or float in [0, 1] → tokens (N, T), int64.

        They, and `channels`, are as in `fit`; rows are in the order of a data set, or of a loader.
        A model of colour images takes grey ones too, as three equal channels.
        """
        tokenizer, pixels = self._for_images(), self.pixels(images, channels=channels)
        title = "encoding" if progress else ""
        if isinstance(tokenizer, PostHocTokenizer):  # makes batches of its own
            return tokenizer.encode(pixels, title).numpy()
        return in_batches(tokenizer.encode, pixels, title=title)[0].numpy()

    def pixels(
        self,
        images: ArrayLike | Tensor | Dataset[Any] | DataLoader[Any],
        *,
        channels: str | None = None,
    ) -> Tensor:
        """Images as `encode` takes them → what its networks see: (N, ...) in [0, 1], float32."""
        self._for_images()
        found = as_8_bit(as_array(images, channels, fitting=False), fitting=False)
        size = self.info["image_size"]
        if [*found.shape[1:], 3] == size:
            found = as_colour(found)
        if [*found.shape[1:]] != size:
            height, width = size[:2]
            how = f"--size {width}x{height} (load_folder(..., size=({width}, {height})))"
            more = found.shape[1:3] != (height, width)
            raise InputError(
                f"images of shape {found.shape}; this model was fitted on "
                f"(N, {', '.join(map(str, size))}){f'; {how} brings a folder to it' * more}"
            )
        return as_pixels(found)

    @_on_its_device
    def decode(self, tokens: ArrayLike, *, progress: bool = False) -> np.ndarray:
        """Tokens (N, T) → expected pixels of the images' shape, float32 in [0, 1]."""
        tokenizer, rows = self._for_images(), torch.from_numpy(self._checked(tokens))
        title = "decoding" if progress else ""
        (pixels,) = in_batches(lambda t: tokenizer.decode(t).sigmoid(), rows, title=title)
        return pixels.numpy()

    @_on_its_device
    def encode_latents(
        self, means: ArrayLike, log_variances: ArrayLike | None = None
    ) -> np.ndarray:
        """Latents (N, D) → tokens (N, T), int64, by the quantiser alone."""
        quantizer, tokenizer = self._for_latents(), self.tokenizer
        decode = tokenizer.decode_means if isinstance(tokenizer, PostHocTokenizer) else None
        return quantizer.encode(*as_latents(means, log_variances, fitting=False), decode)

    def decode_latents(self, tokens: ArrayLike) -> np.ndarray:
        """Tokens (N, T) → latents (N, D), by the quantiser alone."""
        return self._for_latents().decode(self._checked(tokens))

    @_on_its_device
    def prototypes(self, position: int = 0) -> np.ndarray:
        """Expected pixels of a position's codes, (K, H, W) or (K, H, W, 3), float32 in [0, 1].

        Each code alone, without all other positions; on a grid, each in every cell.
        """
        tokenizer, most = self._for_images(), len(self.vocabulary) - 1
        if not isinstance(position, int) or isinstance(position, bool) or not 0 <= position <= most:
            raise InputError(f"position = {position!r}; allowed: an integer, 0 to {most}")
        return tokenizer.prototypes(position).detach().sigmoid().cpu().numpy()

    @_on_its_device
    def sample(self, count: int, *, temperature: float = 1.0, seed: int = 0) -> np.ndarray:
        """Draw tokens (count, T), int64, from the prior; `decode` makes images of them.

        Below temperature 1 the likely tokens gain.

        Raises
        ------
        InputError
            There is no prior, or an argument is out of range.
        """
        if self.prior is None:
            raise InputError("train_ar = None: this model has no prior, and samples need one")
        for name, value, least, most in (
            ("count", count, 1, MOST_SAMPLES),
            ("seed", seed, 0, 2**32 - 1),
        ):
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise InputError(f"{name} = {value!r}; allowed: an integer, {least} to {most:,}")
        if not 0.001 <= temperature <= 100:
            raise InputError(f"temperature = {temperature}; allowed: 0.001 to 100")
        generator = torch.Generator(best_device()).manual_seed(seed)
        drawn = self.prior.sample(count, temperature=temperature, generator=generator)
        return drawn.cpu().numpy()

    def to(self, device: Device) -> Self:
        """Move the networks, in place, to where they are to compute; gives the codec itself.

        A VAE of your own that is no `torch.nn.Module` stays where it is.

        Parameters
        ----------
        device : str or torch.device
            `cpu`, `cuda`, `cuda:1` or `mps`.

        Raises
        ------
        InputError
            There is no such device.
        """
        self.device = checked_device(device)
        for part in (self.tokenizer, self.prior):
            if part is not None:
                part.to(self.device)
        return self

    def __repr__(self) -> str:
        return as_text(self.info, str(self.device))

    def _repr_html_(self) -> str:
        return as_html(self.info, str(self.device))

    @property
    def vocabulary(self) -> tuple[int, ...]:
        """Codes at each position, (T,)."""
        if self.tokenizer is not None:
            return self.tokenizer.vocabulary
        return self._for_latents().vocabulary

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the code vectors: what tokens and a prior of this codec go with."""
        return fingerprint([self._vectors])

    def check_codebook(self, of: str, codebook: str) -> None:
        """Refuse what is of another model, as `geovq.codec.tokenizer.check_codebook` does."""
        check_codebook(of, codebook, self._vectors)

    @property
    def _vectors(self) -> np.ndarray:
        if self.tokenizer is not None:
            return code_vectors(self.tokenizer).numpy()
        return np.concatenate(self._for_latents().codebooks()).astype(np.float32)

    def save(self, folder: str | os.PathLike[str], *, card: str = "") -> None:
        """Write a folder of safetensors, npz and JSON; nothing is pickled.

        A VAE of your own is not in it: give it to `load` again.

        Parameters
        ----------
        folder : path-like
            New, or of a model that geovq wrote, which is replaced.
        card : str
            What a README.md in it says, which may be changed later; none by default.

        Raises
        ------
        InputError
            The folder holds anything but a model that geovq wrote.
        WriteError
            The system refused to write; what was there is as it was.
        """
        with new_folder(folder, KIND) as partial:
            if self.quantizer is not None:
                self.quantizer.save(partial / CODEBOOK)
            for name, part in self._networks().items():
                save_module(partial / name, part)
            save_json(partial / INFO, self.info)
            if card:
                with new_file(partial / CARD, ".md") as stream:
                    stream.write(card.encode())

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        *,
        vae: Autoencoder | None = None,
        device: Device | None = None,
    ) -> Codec:
        """Read what `save` wrote.

        Parameters
        ----------
        folder : path-like
        vae : Autoencoder, optional
            Your own, if it was fitted with one; without it only latents are known.
        device : str or torch.device, optional
            As in `fit`; it need not be that of the fit.

        Raises
        ------
        InputError
            A file is absent or not whole, or there is no such device.
        """
        with on_device(device):
            return cls(*load_parts(Path(folder), vae))

    def push(self, address: str | os.PathLike[str]) -> None:
        """Write what `save` writes, and a model card, to where others can have it.

        Parameters
        ----------
        address : str or path-like
            A folder; an address of fsspec's, as `s3://bucket/model`; or `hf://ORGANISATION/NAME`
            on the hub, where a repository that is not there is made, a private one. It is new, or
            of a model that geovq wrote, which is replaced with its card.

        Raises
        ------
        InputError
            No such address, or something else is there.
        ImportError
            The package that it takes, fsspec or huggingface_hub, is not installed.
        WriteError
            As in `save`.
        """
        place = os.fspath(address)
        card = model_card(self.info, place)
        if is_local(place):
            self.save(place, card=card)
            return
        with TemporaryDirectory(prefix="geovq-") as scratch:
            self.save(Path(scratch) / KIND, card=card)
            send(Path(scratch) / KIND, place)

    @classmethod
    def from_pretrained(
        cls,
        address: str | os.PathLike[str],
        *,
        vae: Autoencoder | None = None,
        device: Device | None = None,
    ) -> Codec:
        """Load a model from where `push` put it; all that comes is checked by its hashes.

        Parameters
        ----------
        address : str or path-like
            As in `push`; on the hub also `hf://ORGANISATION/NAME@REVISION`.
        vae, device
            As in `load`.

        Raises
        ------
        InputError
            As in `load`; or there is no model at this address.
        ImportError
            As in `push`.
        """
        with fetched(os.fspath(address)) as folder:
            return cls.load(folder, vae=vae, device=device)

    def _networks(self) -> dict[str, nn.Module]:
        """What is saved as weights, by the name of its file."""
        found: dict[str, Any] = {f"{self.info['vae']}.safetensors": self.tokenizer}
        if isinstance(self.tokenizer, PostHocTokenizer):
            found = {VAE_WEIGHTS: self.tokenizer.vae, DECODER: self.tokenizer.code_decoder}
        found[PRIOR] = self.prior
        return {name: part for name, part in found.items() if isinstance(part, OURS)}

    def _for_latents(self) -> GeodesicQuantizer:
        if self.quantizer is None:
            raise InputError("latents: the codes of this model are a VQ-VAE's; allowed: images")
        return self.quantizer

    def _for_images(self) -> Tokenizer:
        if self.tokenizer is not None:
            return self.tokenizer
        if self.info["vae"] == "own":
            raise InputError("vae = None; this model's VAE is your own: Codec.load(folder, vae=…)")
        raise InputError("images: this model was fitted on latents; allowed: latents")

    def _checked(self, tokens: ArrayLike) -> np.ndarray:
        """Tokens (N, T) that this codec could have given, int64."""
        found, vocabulary = np.asarray(tokens), self.vocabulary
        shaped = found.ndim == 2 and found.shape[1] == len(vocabulary) and len(found) > 0
        if not shaped or not np.issubdtype(found.dtype, np.integer):
            raise InputError(
                f"tokens of shape {found.shape}, {found.dtype}; "
                f"allowed: (N, {len(vocabulary)}) integers"
            )
        for position, (column, codes) in enumerate(zip(found.T, vocabulary, strict=True)):
            if column.min() < 0 or column.max() >= codes:
                raise InputError(
                    f"tokens of position {position} in [{column.min()}, {column.max()}]; "
                    f"allowed: [0, {codes - 1}]"
                )
        return found.astype(np.int64)


def _folder(checkpoints: str | os.PathLike[str] | None) -> Path | None:
    return None if checkpoints is None else checked_folder(Path(checkpoints))
