"""Small data that every test file shares."""

import os
import shutil
from contextlib import contextmanager

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest
import torch


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def images(rng):
    """(40, 8, 12): not square, so that a swapped axis shows."""
    return torch.from_numpy(rng.random((40, 8, 12), dtype=np.float32))


@pytest.fixture(params=["grey", "colour"])
def pictures(request, images, rng):
    """The same and, in colour, (40, 8, 12, 3)."""
    if request.param == "grey":
        return images
    return torch.from_numpy(rng.random((40, 8, 12, 3), dtype=np.float32))


@pytest.fixture
def latents(rng):
    """Means and log-variances of 300 posteriors in four clusters, D = 6."""
    centers = 1.2 * rng.standard_normal((4, 6))
    means = centers[rng.integers(4, size=300)] + rng.standard_normal((300, 6))
    return means, rng.normal(-1, 0.5, (300, 6))


@pytest.fixture(autouse=True)
def _same_start():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def open_page():
    """Open a file in a headless Chromium without a network; skips where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("no chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)

        @contextmanager
        def opened(path, width=1280, scheme="light"):
            viewport = {"width": width, "height": 900}
            context = browser.new_context(viewport=viewport, color_scheme=scheme, offline=True)
            page = context.new_page()
            # Whatever goes wrong, and whatever the page asks for besides itself.
            page.troubles, page.asked = [], []
            page.on("pageerror", lambda error: page.troubles.append(str(error)))
            page.on(
                "console",
                lambda said: said.type == "error" and page.troubles.append(said.text),
            )
            page.on("request", lambda request: page.asked.append(request.url))
            page.goto(path.as_uri())
            yield page
            context.close()

        yield opened
        browser.close()


@pytest.fixture(scope="session")
def warm():
    """What runs DVC and the stages without importing anew what they need."""
    from checks.warm import Warm

    started = Warm()
    yield started
    started.close()


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """Folder with what each stage of `copy` has used."""
    return tmp_path_factory.mktemp("records")


@pytest.fixture(scope="session")
def copy(tmp_path_factory, warm, records):
    """A small checkout in which every stage has run once, in a folder with a difficult name.

    Whatever the environment tells of its user and machine has the word `sentinel` in it.
    """
    from checks.small import IN_ORDER, Copy

    folder = tmp_path_factory.mktemp("first") / "sentinel: über uns, $HOME 'x'"
    names = dict.fromkeys(("USER", "LOGNAME", "USERNAME", "HOSTNAME"), "sentinel")
    made = Copy(folder, warm, **names, HOME=str(folder), TZ="Pacific/Kiritimati", LC_ALL="C")
    made.changes["RECORD"] = str(records)
    assert made.repro() == set(IN_ORDER)
    del made.changes["RECORD"]
    return made
