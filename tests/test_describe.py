"""What a codec says of itself in a console and in a notebook, and what version this is."""

import pytest
from test_cli import geovq

from geovq import Codec, __version__
from geovq.codec.folder import about

ABOUT = {
    "latent_dim": 6,
    "vocabulary": [16, 16, 16],
    "refined": True,
    "prior": True,
    "rows": [1618, 179],
    "figures": {"bce": 85.213, "total": 90.1},
    "settings": {},
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"image_size": [28, 28], "vae": "geovq"},
            [
                "Codec, codes: images 28 × 28, by latents of 6 numbers",
                "  vocabulary: 3 × 16 codes, 12 bits/image",
                "  parts: VAE, refined codes, prior",
                "  fitted to: 1,618 rows, 179 held out",
                "  validation: bce 85.21, total 90.1",
                "  device: cpu",
            ],
        ),
        (
            {"vocabulary": [4, 8], "refined": False, "prior": False, "figures": {}},
            [
                "Codec, codes: latents of 6 numbers",
                "  vocabulary: 4, 8 codes, 5 bits/latent",
                "  parts: quantiser alone, no prior",
                "  validation: no figures",
            ],
        ),
        ({"image_size": [8, 8, 3], "vae": "own"}, ["VAE of your own", "images 8 × 8 × 3"]),
        ({"image_size": [8, 8], "vae": "vqvae", "refined": False}, ["VQ-VAE, prior"]),
    ],
)
def test_a_codec_says_what_it_is(changes, said):
    codec = Codec(None, None, None, about(**ABOUT | changes)).to("cpu")
    for line in said:
        assert line in repr(codec)
        assert line.partition(": ")[2] in codec._repr_html_()


def test_a_notebook_shows_what_a_file_claims_as_text():
    figures = {"<script>alert(1)</script>": 1.0}
    info = about(**ABOUT | {"figures": figures, "vae": "geovq", "image_size": ["<img src=x>"]})
    html = Codec(None, None, None, info)._repr_html_()
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html
    assert len(html) < 2000


def test_the_command_says_its_version():
    assert geovq("--version").output == f"geovq {__version__}\n"
