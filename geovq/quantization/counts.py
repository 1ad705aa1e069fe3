"""How many codes and neighbours so many latents can have, before there are any."""

from __future__ import annotations

from geovq.errors import InputError

__all__ = ["check_counts"]


def check_counts(
    n: int,
    codes: int,
    first_codes: int | None = None,
    neighbors: int | None = None,
    *,
    of: str = "latents",
    section: str = "",
) -> None:
    """Refuse more codes or neighbours than n latents can have.

    Parameters
    ----------
    n : int
    codes, first_codes, neighbors : int
        As in `GeodesicQuantizer`; None are not looked at.
    of : str
        What the n are, in messages.
    section : str
        Where the parameters are, in messages.

    Raises
    ------
    InputError
    """
    where = f"{section}." if section else ""
    for name, value in (("codes", codes), ("first_codes", first_codes)):
        if value is not None and not 2 <= value <= n:
            raise InputError(f"{where}{name} = {value}; allowed: 2 to the number of {of}, {n}")
    if neighbors is not None and not 1 <= neighbors < n:
        raise InputError(
            f"{where}neighbors = {neighbors}; allowed: 1 to {n - 1}, fewer than the {n} {of}"
        )
