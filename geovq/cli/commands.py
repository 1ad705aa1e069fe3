"""The command line: `geovq fit`, `encode`, `decode`, `sample`, `info`, `evaluate`.

What takes long to import is imported by the commands that need it, so that `--help` is quick.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import click

from geovq import __version__
from geovq.cli.options import input_options
from geovq.errors import InputError
from geovq.params.sections import GeodesicQuantize, Section, TrainAR, TrainVAE
from geovq.process import INTERRUPTED, fail, in_one_line
from geovq.threads import sleep_when_idle

if TYPE_CHECKING:
    from geovq.codec.codec import Codec

__all__ = ["main"]

PATH = click.Path(path_type=Path)


class Main(click.Group):
    """Errors as one line; status 2 for what was typed or read, others as `in_one_line` says."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        """Run the command that was typed, and exit."""
        sleep_when_idle()
        with in_one_line(bad_input=2):
            try:
                super().main(*args, **options | {"standalone_mode": False})
            except click.exceptions.NoArgsIsHelpError as help_instead:
                help_instead.show()
                sys.exit(2)
            except click.ClickException as error:
                fail(error.format_message(), 2)
            except click.Abort:
                fail("interrupted", INTERRUPTED)
        sys.exit(0)


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="geovq", message="%(prog)s %(version)s")
def main() -> None:
    """Discrete codes for images or latents: fit a model once, then encode, decode and sample.

    \b
    Example, from a folder of pictures of one size:
      geovq fit pictures model
      geovq encode model pictures tokens.npz
      geovq decode model tokens.npz decoded
      geovq sample model samples -n 64
    """


force = click.option("--force", is_flag=True, help="Replace what is there.")
device = click.option(
    "--device",
    metavar="NAME",
    help="Where to compute: cpu, cuda, cuda:1, mps.  [default: cuda where there is one, else cpu]",
)


def of(section: type[Section], name: str, text: str, default: str = "") -> Callable[..., Any]:
    """An option for a parameter, whose type and default are those of its section."""
    field = section.model_fields[name]
    kind: Any = int if field.default is None else type(field.default)
    if kind is str:
        kind = click.Choice(get_args(field.annotation))
    text += f"  [default: {default or field.default}]"
    return click.option(f"--{name.replace('_', '-')}", type=kind, help=text)


@main.command()
@click.argument("source", metavar="INPUT", type=PATH)
@click.argument("model", type=PATH)
@of(GeodesicQuantize, "codes", "K, codes at each position.")
@of(GeodesicQuantize, "tokens", "T, positions: T·log2 K bits an image.")
@of(GeodesicQuantize, "first_codes", "Codes of the first position.", "16, or as --codes")
@of(
    GeodesicQuantize,
    "layout",
    "Levels, each quantising what is left; chunks of the latent; or cells of a convolutional VAE "
    "(-S train_vae.architecture=conv).",
)
@of(GeodesicQuantize, "neighbors", "k of the graph and of the vote.")
@of(GeodesicQuantize, "metric", "Length of an edge; euclidean for latents without variances.")
@of(
    GeodesicQuantize,
    "smoothing",
    "Times that latents are averaged before edges are measured.",
    "3; 0 with metrics fisher and pullback",
)
@of(GeodesicQuantize, "edge_power", "Above 1, paths follow the density.")
@of(TrainVAE, "latent_dim", "D, latents of the VAE.")
@of(TrainVAE, "likelihood", "Of pixels: shares of white, or 8-bit levels (for colour).")
@click.option(
    "--steps",
    type=int,
    help="Optimiser steps of each training, at most.  "
    f"[default: {TrainVAE().max_steps} for the VAE, {TrainAR().max_steps} for the prior]",
)
@click.option(
    "--refine/--no-refine",
    default=True,
    show_default=True,
    help="Tune codes and decoder to each other (images only).",
)
@click.option(
    "--prior/--no-prior", default=True, show_default=True, help="Train what samples are drawn from."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "-S", "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Any other parameter."
)
@input_options
@device
@force
def fit(
    source: Path,
    model: Path,
    refine: bool,
    prior: bool,
    changes: Sequence[str],
    device: str | None,
    force: bool,
    **options: Any,
) -> None:
    """Fit a model to INPUT and write it to the folder MODEL.

    INPUT is a folder of pictures (PNG, JPEG, BMP, TIFF, WebP, GIF), of one size unless there is
    --size, or a folder of such folders, one a class; or an .npz file: with `images` (N, H, W), or
    (N, H, W, 3) in colour, uint8 or floats in [0, 1]; or with `means` (N, D) and, if there are any,
    `log_variances` (N, D) of a VAE of yours, and then no VAE is trained. Row numbers in `train` or
    `test`, if it has them, say which rows to fit.

    -S takes any other parameter of training, as docs/parameters.md explains them.

    What training has come to is kept in the folder .MODEL.unfinished, beside MODEL, until MODEL is
    written: after an interruption the same command goes on from there.

    \b
    Example: three tokens of 16 codes, 12 bits an image
      geovq fit digits model --codes 16 --tokens 3 -S train_ar.cell=lstm
    """
    from geovq.cli.files import (
        check_count,
        check_device,
        check_options,
        check_target,
        only,
        read,
        setting,
        unfinished,
    )
    from geovq.codec.folder import KIND

    reading = {name: options.pop(name) for name in ("size", "recursive", "channels")}
    chosen = {name: value for name, value in options.items() if value is not None}
    chosen |= dict(setting(change) for change in changes)
    chosen |= {} if refine else {"refine": None}
    chosen |= {} if prior else {"train_ar": None}
    settings = check_options(chosen, source)
    check_target(model, force, KIND, [source])
    check_device(device)
    check_count(settings, source, reading["recursive"])
    arrays = only(read(source, **reading), source, "train", "validation")
    from geovq.codec.codec import Codec  # late, for it takes long

    with unfinished(model) as checkpoints:
        chosen |= {"checkpoints": checkpoints, "device": device}
        if "images" in arrays:
            codec = Codec.fit(arrays["images"], **chosen)
        else:
            codec = Codec.fit_latents(arrays["means"], arrays.get("log_variances"), **chosen)
        codec.save(model)
    show(codec.info)


@main.command()
@click.argument("model", type=PATH)
@click.argument("source", metavar="INPUT", type=PATH)
@click.argument("target", metavar="TOKENS", type=PATH)
@input_options
@device
@force
def encode(
    model: Path, source: Path, target: Path, device: str | None, force: bool, **reading: Any
) -> None:
    """Encode INPUT and write its tokens to the file TOKENS.

    INPUT is what `geovq fit` takes. TOKENS is an .npz file with `tokens` (N, T), integers,
    `vocabulary` (T,), the number of codes at each position, `names` (N,) of the pictures, and
    `codebook`, by which the model knows its own tokens. Sub-folders that are classes give `labels`
    (N,), integers, and `classes` (C,), their names.

    \b
    Example:
      geovq encode model digits tokens.npz
    """
    from geovq.cli.files import check_device, check_target, read
    from geovq.files.store import save_npz

    check_target(target, force, inputs=[source, model])
    check_device(device)
    arrays, codec = read(source, **reading), load(model, device)
    if "images" in arrays:
        tokens = codec.encode(arrays["images"], progress=True)
    else:
        tokens = codec.encode_latents(arrays["means"], arrays.get("log_variances"))
    kept = ("names", "labels", "classes") if source.is_dir() else ("names",)
    named = {name: arrays[name] for name in kept if name in arrays}
    coded = {"tokens": tokens, "vocabulary": codec.vocabulary}
    save_npz(target, "tokens", **coded, codebook=codec.fingerprint, **named)


@main.command()
@click.argument("model", type=PATH)
@click.argument("source", metavar="TOKENS", type=PATH)
@click.argument("target", metavar="OUTPUT", type=PATH)
@device
@force
def decode(model: Path, source: Path, target: Path, device: str | None, force: bool) -> None:
    """Decode the file TOKENS and write OUTPUT.

    OUTPUT is a folder of PNG files, called as the pictures that were encoded; or an .npz file with
    `images` (N, H, W) or (N, H, W, 3), uint8, beside the tokens. A model that knows no images
    writes an .npz file with `latents` (N, D) in their place.

    \b
    Example:
      geovq decode model tokens.npz decoded
    """
    from geovq.cli.files import check_device, check_output, read_tokens, write

    check_output(target, force, [model, source])
    check_device(device)
    tokens, vocabulary, more = read_tokens(source)
    codec = load(model, device)
    if tuple(vocabulary) != codec.vocabulary:
        raise InputError(
            f"{source}: vocabulary {vocabulary}; this model's is {list(codec.vocabulary)}"
        )
    codec.check_codebook(str(source), str(more.get("codebook", "")))
    write(target, codec, tokens, more.get("names"))


@main.command()
@click.argument("model", type=PATH)
@click.argument("target", metavar="OUTPUT", type=PATH)
@click.option("-n", "--count", type=int, default=64, show_default=True)
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Lower is safer.")
@click.option("--seed", type=int, default=0, show_default=True)
@device
@force
def sample(
    model: Path,
    target: Path,
    count: int,
    temperature: float,
    seed: int,
    device: str | None,
    force: bool,
) -> None:
    """Sample the prior of MODEL and write OUTPUT.

    New tokens are drawn and decoded. OUTPUT is as that of `geovq decode`.

    \b
    Example:
      geovq sample model samples -n 64 --temperature 0.85
    """
    from geovq.cli.files import check_output, write

    check_output(target, force, [model])
    codec = load(model, device)
    write(target, codec, codec.sample(count, temperature=temperature, seed=seed))


@main.command()
@click.argument("path", metavar="MODEL_OR_TOKENS", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="All there is, for other programs.")
def info(path: Path, as_json: bool) -> None:
    """Say what a model or a file of tokens holds.

    Figures of a model were measured when it was fitted, on the images that were held out;
    docs/own_data.md explains them.

    \b
    Example:
      geovq info model
    """
    from geovq.cli.files import read_tokens
    from geovq.codec.folder import load_info

    if path.is_dir():
        found = load_info(path)
    else:
        from geovq.quantization.rate import bits_per_image, codes_used, perplexity

        tokens, vocabulary, _ = read_tokens(path)
        found = {
            "rows": len(tokens),
            "vocabulary": vocabulary,
            "bits_per_image": bits_per_image(vocabulary),
            "codes_used": codes_used(tokens, vocabulary),
            "perplexity": perplexity(tokens, vocabulary),
        }
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show(found)


@main.command()
@click.argument("models", metavar="MODEL...", type=PATH, nargs=-1, required=True)
@click.argument("source", metavar="INPUT", type=PATH)
@device
@click.option("--json", "as_json", is_flag=True, help="All digits, for other programs.")
@input_options
def evaluate(
    models: Sequence[Path], source: Path, device: str | None, as_json: bool, **reading: Any
) -> None:
    """Score models on INPUT, side by side.

    INPUT is what `geovq encode` takes, and none of what the models were fitted to; of an .npz file
    with row numbers in `train` or `test`, the test rows. With `labels` (N,) in an .npz file, or a
    folder of classes, purity and NMI of the first token are told too.
    Figures compare where `bits_per_image` is equal; docs/own_data.md explains them.

    \b
    Example:
      geovq evaluate geodesic euclidean unseen.npz
    """
    from geovq.cli.files import check_device, labels_of, only, read

    check_device(device)
    arrays = only(read(source, **reading), source, "test")
    labels = labels_of(source, arrays)
    from geovq.evaluation import score_codec  # late, for it takes long

    data = arrays["images" if "images" in arrays else "means"]
    spread = arrays.get("log_variances")
    codecs = {str(model): load(model, device) for model in models}
    scores = {name: score_codec(codec, data, spread, labels) for name, codec in codecs.items()}
    if as_json:
        click.echo(json.dumps(scores, indent=2))
        return
    from tabulate import tabulate

    names = list(dict.fromkeys(name for score in scores.values() for name in score))
    rows = [
        [name, *(score.get(name) for score in scores.values())]
        for name in names
        if any(score.get(name) is not None for score in scores.values())
    ]
    click.echo(tabulate(rows, ["", *scores], floatfmt=".4g"))


def load(model: Path, device: str | None) -> Codec:
    """Load a model; last, for the import takes longer than all that can go wrong before."""
    from geovq.codec.codec import Codec

    return Codec.load(model, device=device)


def show(found: dict[str, Any]) -> None:
    """Print what `info` has to say."""
    from tabulate import tabulate

    from geovq.cli.files import table

    click.echo(tabulate(table(found), tablefmt="plain", disable_numparse=True))
