"""Whatever is written is whole or absent, and nothing of anybody else's is touched."""

import errno
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from geovq import Codec, GeodesicKMeans, GeodesicQuantizer
from geovq.data.folders import save_folder
from geovq.errors import InputError, WriteError
from geovq.files import writing
from geovq.files.marks import MARK_FILE, folder_mark
from geovq.files.places import check_apart, check_file, check_folder
from geovq.files.store import save_figure, save_json, save_module, save_npz
from geovq.files.writing import PARTIAL, new_file, new_folder, sweep
from geovq.models.vae import VAE

POINTS = np.random.default_rng(0).standard_normal((60, 3))
SMALL = {"codes": 4, "tokens": 2, "neighbors": 5, "train_ar": None}


class Figure:
    def savefig(self, stream, **options):
        stream.write(b"figure")


@pytest.fixture(scope="module")
def writers():
    """Everything that writes, by its suffix or the kind of folder."""
    kmeans = GeodesicKMeans(3, n_neighbors=5, random_state=0).fit(POINTS)
    quantizer = GeodesicQuantizer(4, 2, metric="euclidean", neighbors=5).fit(POINTS)
    codec = Codec.fit_latents(POINTS, **SMALL)
    pictures = np.zeros((3, 8, 8), np.uint8)
    return {
        "kmeans": (kmeans.save, ".npz"),
        "quantizer": (quantizer.save, ".npz"),
        "npz": (lambda path: save_npz(path, "test", a=POINTS), ".npz"),
        "module": (lambda path: save_module(path, VAE((8, 8), 2, [3])), ".safetensors"),
        "json": (lambda path: save_json(path, {"a": 1}), ".json"),
        "figure": (lambda path: save_figure(path, Figure()), ".png"),
        "codec": (codec.save, ""),
        "pictures": (lambda path: save_folder(path, pictures), ""),
    }


NAMES = ["kmeans", "quantizer", "npz", "module", "json", "figure", "codec", "pictures"]
every = pytest.mark.parametrize("name", NAMES)


def tree(folder):
    """All there is under a folder: links, contents and permissions."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        found[path.relative_to(folder)] = (path.is_symlink(), content, path.lstat().st_mode)
    return found


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory two folders below the temporary one, with a user's things."""
    folder = tmp_path / "home" / "work"
    (folder / "results").mkdir(parents=True)
    (folder / "results" / "thesis.tex").write_text("years of work")
    (folder / "results.txt").write_text("more of it")
    (folder / "link").symlink_to(folder / "results")
    (folder / "dangling").symlink_to(folder / "nowhere")
    for suffix in (".npz", ".safetensors", ".json", ".png"):
        (folder / f"folder{suffix}").mkdir()
        (folder / f"folder{suffix}" / "thesis.tex").write_text("years of work")
        (folder / f"link{suffix}").symlink_to(folder / f"folder{suffix}")
        (folder / f"file_link{suffix}").symlink_to(folder / "results.txt")
        (folder / f"dangling{suffix}").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe")
    monkeypatch.chdir(folder)
    return tmp_path


PLACES = [
    "results",
    ".",
    "..",
    "/",
    "",
    "~",
    "link",
    "dangling",
    "pipe",
    "results.txt",
    "/dev/null",
]
PLACES += ["results/thesis.tex", "../work"]
BEYOND = ["~/x", "results.txt/x", "results/thesis.tex/x/y", "dangling/x", "x\0y", "n" * 300]


@every
@pytest.mark.parametrize("place", [*PLACES, *BEYOND])
def test_a_bad_place_is_refused_and_nothing_changes(writers, name, place, home):
    write, suffix = writers[name]
    before = tree(home)
    with pytest.raises(InputError, match="allowed"):
        write(place + suffix if place in BEYOND else place)
    assert tree(home) == before


@every
def test_neither_folders_nor_links_are_taken_for_files(writers, name, home):
    write, suffix = writers[name]
    before = tree(home)
    if suffix:
        for place in ("folder", "link", "file_link", "dangling"):
            with pytest.raises(InputError, match=f"{place}{suffix}: a (folder|symbolic link)"):
                write(place + suffix)
    assert tree(home) == before


@pytest.mark.parametrize("name", ["a.txt.bak", "a.txt~", "atxt", ".txt", "a.TXT"])
def test_a_file_has_its_suffix_at_the_end(name, tmp_path):
    with pytest.raises(InputError, match=r"a file name that ends in \.txt"):
        check_file(tmp_path / name, ".txt")


def test_the_folder_that_one_stands_in_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "x"
    with new_folder(path, "test") as folder:
        (folder / "word").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(path)
    for place in (path, tmp_path / "link" / "x", "../x"):
        with pytest.raises(InputError, match="x: the working directory is in it"):
            check_folder(place, "test")
    monkeypatch.chdir(tmp_path)
    check_folder(path, "test")


def test_what_comes_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "x"

    def late():
        with new_folder(path, "test") as folder:
            (folder / "word").write_bytes(b"new")
            path.mkdir()
            (path / "thesis.tex").write_text("years of work")

    with pytest.raises(InputError, match=r"a folder that holds thesis\.tex and no mark"):
        late()
    assert (path / "thesis.tex").read_text() == "years of work"
    assert list(tmp_path.iterdir()) == [path]


def test_all_is_flushed_to_the_disk_before_it_has_its_name_and_then_the_name(tmp_path, monkeypatch):
    done = []

    def noted(name, real):
        def called(*arguments):
            done.append(os.fstat(arguments[0]).st_ino if name == "fsync" else name)
            return real(*arguments)

        return called

    for name in ("fsync", "sync", "replace", "rename"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    with new_file(tmp_path / "a.txt", ".txt") as stream:
        stream.write(b"new")
    above, file = (os.stat(path).st_ino for path in (tmp_path, tmp_path / "a.txt"))
    assert done == [file, "replace", above]
    done.clear()
    with new_folder(tmp_path / "x", "test") as folder:
        (folder / "word").write_bytes(b"new")
    named = done.index("rename")
    whole = {os.stat(path).st_ino for path in (tmp_path / "x", *(tmp_path / "x").iterdir())}
    assert whole <= {*done[:named]}
    assert done[named:] == ["rename", above]
    monkeypatch.setattr(writing, "MANY", 2)  # so many are flushed in one go
    done.clear()
    with new_folder(tmp_path / "y", "test") as folder:
        (folder / "word").write_bytes(b"new")
        (folder / "other").write_bytes(b"new")
    assert "sync" in done[: done.index("rename")]


@every
def test_a_name_of_255_bytes_in_folders_to_be_made(writers, name, tmp_path):
    write, suffix = writers[name]
    path = tmp_path / "a" / "b" / ("ü" * 100 + "n" * (55 - len(suffix)) + suffix)
    for _ in range(2):
        write(path)
        assert path.exists()
        assert list(path.parent.iterdir()) == [path]


@every
def test_a_read_only_folder_is_named(writers, name, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("nothing is read-only to root")
    with pytest.raises(InputError, match=r"nothing can be written in .*kept"):
        writers[name][0](folder / f"x{writers[name][1]}")
    assert not list(folder.iterdir())


@every
def test_what_is_written_has_the_permissions_that_the_user_gives(writers, name, tmp_path):
    write, suffix = writers[name]
    before = os.umask(0o027)
    try:
        write(tmp_path / f"x{suffix}")
    finally:
        os.umask(before)
    path = tmp_path / f"x{suffix}"
    assert path.stat().st_mode & 0o777 == (0o640 if suffix else 0o750)
    if not suffix:
        assert {entry.stat().st_mode & 0o777 for entry in path.iterdir()} == {0o640}


@pytest.mark.parametrize("name", ["kmeans", "quantizer", "npz", "module"])
def test_a_file_of_somebody_elses_is_not_replaced(writers, name, tmp_path):
    write, suffix = writers[name]
    path = tmp_path / f"x{suffix}"
    for content in (b"", b"measured for years", b"PK\3\4" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(InputError, match="did not write; allowed: a new file, or one of geovq"):
            write(path)
        assert path.read_bytes() == content
    path.unlink()
    write(path)
    write(path)


@pytest.mark.parametrize("name", ["codec", "pictures"])
def test_a_folder_is_replaced_only_by_its_mark(writers, name, tmp_path):
    write, path = writers[name][0], tmp_path / "folder"
    path.mkdir()
    write(path)  # an empty folder is as good as a new one
    first = tree(path)
    write(path)
    assert tree(path) == first
    # The names are those that geovq writes, but the mark is not there, or another's.
    other = writers[{"codec": "pictures", "pictures": "codec"}[name]][0]
    with pytest.raises(InputError, match="folder: a geovq"):
        other(path)
    (path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"folder that holds notes\.txt, which geovq did not"):
        write(path)
    assert (path / "notes.txt").read_text() == "mine"
    (path / "notes.txt").unlink()
    mark = (path / MARK_FILE).read_bytes()
    for damaged in (b"", b"{}", mark[:-20], mark.replace(b"0.1", b"9.9"), b"[" * 9999):
        (path / MARK_FILE).write_bytes(damaged)
        with pytest.raises(InputError, match="no mark of geovq"):
            write(path)
    (path / MARK_FILE).unlink()
    with pytest.raises(InputError, match="no mark of geovq"):
        write(path)
    assert {p: first[p] for p in first if p.name != MARK_FILE} == tree(path)


def test_pictures_of_the_users_stay(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"holiday")
    with pytest.raises(InputError, match=r"a folder that holds a\.png and no mark of geovq"):
        save_folder(tmp_path, np.zeros((2, 8, 8), np.uint8), ["a", "b"])
    assert (tmp_path / "a.png").read_bytes() == b"holiday"


def test_outputs_stay_apart_from_inputs(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for output in ("in", "in/x", "link/x", "link", ".", "in/../in"):
        with pytest.raises(InputError, match="allowed: a place apart from it"):
            check_apart(tmp_path / output, tmp_path / "other", tmp_path / "in")
    check_apart(tmp_path / "inner", tmp_path / "in")


# What a write asks of the system, each of which is made to fail in turn.
CALLS = ["open", "mkdir", "write", "fsync", "replace", "rename", "unlink", "rmdir", "exchange"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("there", [False, True])
@every
def test_a_call_that_fails_leaves_what_was_there(writers, name, call, there, tmp_path, monkeypatch):
    write, suffix = writers[name]
    path = tmp_path / "deep" / f"x{suffix}"
    if there:
        write(path)
    before = tree(tmp_path)
    failed = 0
    for at in range(1, 40):
        count = 0

        def failing(real, at=at):
            def called(*arguments, **options):
                nonlocal count
                count += 1
                if count == at:
                    raise OSError(errno.EIO, "Input/output error")
                return real(*arguments, **options)

            return called

        with monkeypatch.context() as patch:
            if call == "open":
                patch.setattr(writing, "open", failing(open), raising=False)
                patch.setattr(writing.os, "open", failing(os.open))
            elif call == "mkdir":
                patch.setattr(Path, "mkdir", failing(Path.mkdir))
            elif call == "write":
                patch.setattr(writing, "_new_stream", failing(writing._new_stream))
            elif call == "exchange":
                patch.setattr(writing, "_exchange", failing(writing._exchange))
            elif call == "rmdir":
                patch.setattr(Path, "rmdir", failing(Path.rmdir))
            else:
                patch.setattr(writing.os, call, failing(getattr(os, call)))
            try:
                write(path)
            except WriteError as error:
                assert str(path) in str(error)  # noqa: PT017
                assert "Input/output error" in str(error)  # noqa: PT017
                failed += 1
                assert tree(tmp_path) == before
        sweep(path.parent)
        assert not list(tmp_path.rglob(f"{PARTIAL}*"))
        if count < at:
            break
        if path.exists() and not there:
            for entry in path.iterdir() if path.is_dir() else ():
                entry.unlink()
            path.rmdir() if path.is_dir() else path.unlink()
            path.parent.rmdir()
    else:
        pytest.fail("it never came to an end")
    if call in ("open", "write", "fsync"):
        assert failed
    write(path)


@every
def test_a_full_disk_at_any_byte_leaves_what_was_there(writers, name, tmp_path):
    write, suffix = writers[name]
    path = tmp_path / f"x{suffix}"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for there in (False, True):
        if there:
            write(path)
        before = tree(tmp_path)
        for most in (0, 1, 5, 100, 300):
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
            try:
                if name == "figure" and most >= 6:
                    continue
                if name == "json" and most >= 11:
                    continue
                with pytest.raises(WriteError, match=f"x{suffix}: not written: File too large"):
                    write(path)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            assert tree(tmp_path) == before


@pytest.mark.parametrize("interruption", [KeyboardInterrupt("own"), RuntimeError("own")])
def test_an_error_of_the_block_is_passed_on_and_leaves_nothing(interruption, tmp_path):
    def half_a_file():
        with new_file(tmp_path / "a" / "b.txt", ".txt") as stream:
            stream.write(b"half")
            raise interruption

    def half_a_folder():
        with new_folder(tmp_path / "a" / "b", "test") as folder:
            (folder / "half").write_bytes(b"")
            raise interruption

    for half in (half_a_file, half_a_folder):
        with pytest.raises(type(interruption), match="own"):
            half()
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
from geovq.files import writing
path, kind, at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
count = 0
def dying(real):
    def called(*arguments, **options):
        global count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return called
for name in ("open", "fsync", "replace", "rename", "unlink", "close"):
    setattr(os, name, dying(getattr(os, name)))
Path.mkdir, Path.rmdir = dying(Path.mkdir), dying(Path.rmdir)
writing._exchange = dying(writing._exchange)
if sys.argv[4:]:
    real = writing._exchange
    writing._exchange = lambda *names: False
if kind == "file":
    with writing.new_file(path, ".txt") as stream:
        stream.write(b"new")
else:
    with writing.new_folder(path, "test") as folder:
        (folder / "word").write_bytes(b"new")
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_kill_at_any_call_leaves_the_old_or_the_new(kind, tmp_path):
    path = tmp_path / "x.txt"
    content = path if kind == "file" else path / "word"

    def put(word):
        if kind == "file":
            with new_file(path, ".txt") as stream:
                stream.write(word)
        else:
            with new_folder(path, "test") as folder:
                (folder / "word").write_bytes(word)

    seen = set()
    for at in range(1, 60):
        put(b"old")
        command = [sys.executable, "-c", KILLED, str(path), kind, str(at)]
        done = subprocess.run(command, check=False)
        seen.add(content.read_bytes())
        if kind == "folder":
            assert folder_mark(path).kind == "test"
            assert {entry.name for entry in path.iterdir()} == {"word", MARK_FILE}
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    else:
        pytest.fail("it never came to an end")
    assert seen == {b"old", b"new"}
    put(b"old")
    assert {entry.name for entry in tmp_path.iterdir()} == {"x.txt"}


def test_a_disk_that_cannot_exchange_folders_loses_none(tmp_path, monkeypatch):
    path = tmp_path / "x"

    def put(word):
        with new_folder(path, "test") as folder:
            (folder / "word").write_bytes(word)

    monkeypatch.setattr(writing, "_exchange", lambda *names: False)
    put(b"old")
    put(b"older")
    renamed, real = 0, os.rename

    def refused(*names):
        nonlocal renamed
        renamed += 1
        if renamed == 2:
            raise OSError(errno.EIO, "Input/output error")
        real(*names)

    monkeypatch.setattr(os, "rename", refused)
    with pytest.raises(WriteError, match="Input/output error"):
        put(b"new")
    assert (path / "word").read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


def test_a_sweep_takes_what_the_dead_left_and_nothing_else(tmp_path):
    (tmp_path / f"{PARTIAL}dead").write_bytes(b"half")
    (tmp_path / f"{PARTIAL}users").mkdir()
    (tmp_path / f"{PARTIAL}users" / "thesis.tex").write_text("in an odd place")
    (tmp_path / f"{PARTIAL}link").symlink_to(tmp_path)
    for name in ("other", ".other", f"x{PARTIAL}"):
        (tmp_path / name).write_bytes(b"")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / f"{PARTIAL}socket"))
    with new_file(tmp_path / "alive.txt", ".txt") as stream:
        stream.write(b"whole")
        with new_folder(tmp_path / "living", "test") as folder:
            (folder / "word").write_bytes(b"whole")
            sweep(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    odd = {f"{PARTIAL}users", f"{PARTIAL}link", f"{PARTIAL}socket"}
    assert left == {"alive.txt", "living", "other", ".other", f"x{PARTIAL}", *odd}
    assert (tmp_path / f"{PARTIAL}users" / "thesis.tex").exists()


def test_no_other_module_replaces_or_removes():
    root = Path(__file__).parents[1]
    words = (
        "rmtree", "os.replace", "os.rename", "os.unlink", "os.remove", ".unlink(", ".rename(",
        ".replace(path", "TemporaryDirectory(dir", "mkdtemp(dir", "NamedTemporaryFile", "mkstemp",
        "write_text(", "write_bytes(", '"wb"', '"w"', "shutil.move", "savez(", "save_file(",
    )  # fmt: skip
    found = [
        f"{path.relative_to(root)}: {word}"
        for folder in ("geovq", "stages", "studies", "tools")
        for path in root.glob(f"{folder}/**/*.py")
        for word in words
        if word in path.read_text() and path.name != "writing.py"
    ]
    assert found == [
        "geovq/files/store.py: savez(",  # into a stream of `new_file`
        "tools/plots.py: write_text(",  # in a temporary folder of the system's
    ]
