"""Stand-in until the reader arrives."""

from zipfile import BadZipFile

import numpy as np

from geovq.errors import InputError

__all__ = ["read_npz"]


def read_npz(path):
    try:
        with open(path, "rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise InputError(f"{path}: a single array; allowed: an .npz of named arrays")
            return {name: file[name] for name in file.files}
    except InputError:
        raise
    except (ValueError, BadZipFile, EOFError, OSError) as error:
        if "pickle" in str(error):
            raise InputError(
                f"{path}: holds pickled Python objects, which are never loaded; allowed: arrays of numbers"
            ) from None
        raise InputError(f"{path}: not a whole .npz file ({error})") from None
