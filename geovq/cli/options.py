"""Options by which commands read what is not laid out as geovq has it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

__all__ = ["input_options"]


class Size(click.ParamType):
    """`64`, or `64x48`: width and height."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | tuple[int, int]:
        """Take the text apart; what is allowed is checked where pictures are read."""
        found = re.fullmatch(r"(\d{1,9})(?:[xX×](\d{1,9}))?", str(value), re.ASCII)
        if found is None:
            self.fail(f"{value!r}; allowed: 64, or WIDTHxHEIGHT as in 64x48", param, ctx)
        width, height = found.groups()
        return int(width) if height is None else (int(width), int(height))


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command have `--size`, `--recursive` and `--channels`, for `geovq.cli.files.read`."""
    for option in (
        click.option(
            "--channels",
            type=click.Choice(["last", "first"]),
            help="Where `images` of an .npz file have their channels: (N, H, W, 3), or (N, 3, H, "
            "W) and (N, 1, H, W).  [default: last]",
        ),
        click.option("--recursive", is_flag=True, help="Read pictures in all sub-folders."),
        click.option(
            "--size",
            type=Size(),
            metavar="W[xH]",
            help="Resize pictures until they cover W × H pixels, and cut out the middle.",
        ),
    ):
        command = option(command)
    return command
