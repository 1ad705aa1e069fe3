"""Model folders elsewhere: at an address of fsspec's (`s3://`, `memory://`, ...) or on the hub.

What is sent is the folder that `Codec.save` writes, with a card; what comes is checked as a folder
is, by the hashes in its mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from geovq.codec.folder import CARD, CODEBOOK, DECODER, END_TO_END, KIND, PRIOR, VAE_WEIGHTS
from geovq.errors import InputError
from geovq.files.marks import MARK_FILE, Mark, folder_mark

__all__ = ["fetched", "is_local", "send"]

HUB = "hf://"
# Files that a model has or has not.
PARTS = {CODEBOOK, DECODER, PRIOR, VAE_WEIGHTS, *(f"{name}.safetensors" for name in END_TO_END)}
ALLOWED = "a folder, hf://ORGANISATION/NAME, or an address that fsspec knows"


def is_local(address: str) -> bool:
    """Whether an address is the path of a folder."""
    return "://" not in address


def send(folder: Path, address: str) -> None:
    """Write a model folder to an address that is not local.

    Parameters
    ----------
    folder : Path
        With a model.
    address : str
        A new place, or that of a model that geovq wrote, which is replaced.

    Raises
    ------
    InputError
        No such address, or something else is there.
    ImportError
        The package that it takes is not installed.
    """
    if address.startswith(HUB):
        repository, revision = _repository(address)
        api, sent = _hub().HfApi(), {path.name for path in folder.iterdir()}
        with _told(address):
            api.create_repo(repository, private=True, exist_ok=True)
            there = set(api.list_repo_files(repository, revision=revision))
            for name in sorted(there & sent - {CARD} if MARK_FILE not in there else ()):
                raise InputError(_foreign(address, name))
            api.upload_folder(
                repo_id=repository,
                folder_path=folder,
                revision=revision,
                commit_message="Codec.push",
                delete_patterns=sorted(PARTS - sent),  # of the model that was there
            )
        return
    files, root = _file_system(address)
    with _told(address):
        there = _names(files, root)
        mark = _mark(files, root) if MARK_FILE in there else None
        ours = {MARK_FILE, *mark.files} if mark is not None and mark.kind == KIND else set()
        for name in sorted(there - ours):
            raise InputError(_foreign(address, name))
        files.makedirs(root, exist_ok=True)
        if mark is not None:
            files.rm_file(f"{root}/{MARK_FILE}")  # it is no model until all of the new one is there
        names = sorted((path.name for path in folder.iterdir()), key=lambda name: name == MARK_FILE)
        for name in names:
            files.put_file(str(folder / name), f"{root}/{name}")
        for name in there - set(names):
            files.rm_file(f"{root}/{name}")


@contextmanager
def fetched(address: str) -> Iterator[Path]:
    """Give a folder with the model of an address, for as long as the block lasts.

    Raises
    ------
    InputError
        No such address, or no model there. What the block says of the folder, it says of the
        address.
    ImportError
        The package that it takes is not installed.
    """
    if is_local(address):
        yield Path(address)
        return
    with TemporaryDirectory(prefix="geovq-") as scratch:
        folder = Path(scratch)
        if address.startswith(HUB):
            repository, revision = _repository(address)
            hub = _hub()
            with _told(address):
                folder = Path(hub.snapshot_download(repository, revision=revision))
        else:
            files, root = _file_system(address)
            with _told(address):
                mark = _mark(files, root, folder)
                if mark is None or mark.kind != KIND:
                    raise InputError(f"{address}: no {KIND} that geovq wrote; allowed: {ALLOWED}")
                for name in mark.files:
                    if files.exists(f"{root}/{name}"):  # what is absent, the check will name
                        files.get_file(f"{root}/{name}", str(folder / name))
        try:
            yield folder
        except InputError as error:
            raise type(error)(str(error).replace(str(folder), address)) from None


def _foreign(address: str, name: str) -> str:
    return (
        f"{address}: holds {name}, which geovq did not write; allowed: a new place, or a {KIND} "
        "that geovq wrote, to be replaced"
    )


def _file_system(address: str) -> tuple[Any, str]:
    """A file system of fsspec's, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ImportError(
            f"fsspec is not installed; {address} needs: pip install fsspec"
        ) from error
    try:
        files, root = url_to_fs(address)
    except (ValueError, ImportError) as error:
        raise InputError(f"{address}: {error}; allowed: {ALLOWED}") from None
    if "file" in _protocols(files):  # files here have one writer, which never leaves half a model
        raise InputError(f"{address}: on this machine; allowed: the path itself, {root}")
    return files, str(root).rstrip("/")


def _protocols(files: Any) -> set[str]:
    """Names of a file system, and of those that it stands before."""
    found: set[str] = set()
    while files is not None:
        found |= {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)
        files = getattr(files, "fs", None)
    return found


def _names(files: Any, root: str) -> set[str]:
    """What a folder holds; nothing, if there is none."""
    if not files.exists(root):
        return set()
    if not files.isdir(root):
        raise InputError(f"{root}: a file; allowed: a new place, or a {KIND}'s")
    return {str(path).rstrip("/").rpartition("/")[2] for path in files.ls(root, detail=False)}


def _mark(files: Any, root: str, folder: Path | None = None) -> Mark | None:
    """The mark of a folder elsewhere, which is brought here."""
    with TemporaryDirectory(prefix="geovq-") as scratch:
        here = Path(scratch) if folder is None else folder
        if files.exists(f"{root}/{MARK_FILE}"):
            files.get_file(f"{root}/{MARK_FILE}", str(here / MARK_FILE))
        return folder_mark(here)


def _repository(address: str) -> tuple[str, str | None]:
    """`hf://ORGANISATION/NAME@REVISION` → the repository and, if there is one, the revision."""
    name, _, revision = address.removeprefix(HUB).rstrip("/").partition("@")
    if name.count("/") != 1 or not all(name.split("/")):
        raise InputError(f"{address}: allowed: {HUB}ORGANISATION/NAME, or with @REVISION behind it")
    return name, revision or None


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            f"huggingface_hub is not installed; {HUB} needs: pip install 'geovq[hub]'"
        ) from error
    return huggingface_hub


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Turn what a file system or the hub says into one line that names the address."""
    try:
        yield
    except OSError as error:
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"{address}: {said}; allowed: {ALLOWED}") from error
