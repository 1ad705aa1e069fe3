"""Draws the pipeline's data flow: `python docs/data_flow.py` writes docs/pictures/data_flow.svg."""

from pathlib import Path

PICTURE = Path(__file__).parent / "pictures" / "data_flow.svg"
COLUMN, ROW, WIDTH, HEIGHT = 256, 116, 236, 76

# Stage: first column, columns spanned, row, what it does, files it writes, code that does it.
BOXES = {
    "prepare": (0, 3, 0, "three splits that share no image", "data/images.npz", "data/"),
    "train_vae": (0, 1, 1, "posteriors N(μ, σ²)", "data/latents.npz", "training/vae.py"),
    "geodesic_quantize": (
        *(0, 1, 2, "k-NN graph, geodesic k-means", "data/codebooks, data/codes"),
        "clustering/, quantization/",
    ),
    "refine": (
        *(0, 1, 3, "codes and decoder are tuned", "data/tokens, data/models/decoder_*"),
        "training/refinement.py",
    ),
    "train_vqvae": (1, 1, 1, "the end-to-end rival", "data/tokens/vqvae.npz", "training/vqvae.py"),
    "train_classifier": (
        *(2, 1, 1, "names images, if there are labels", "data/models/classifier.safetensors"),
        "training/classifier.py",
    ),
    "train_ar": (0, 2, 4, "a prior for each tokeniser", "data/models/ar_*", "training/prior.py"),
    "pack": (0, 2, 5, "model folders for library and command line", "data/codecs", "codec/"),
    "evaluate": (
        *(0, 3, 6, "one yardstick for all", "metrics/evaluate.json, plots/"),
        "evaluation/, report/",
    ),
    "report": (0, 3, 7, "one page to look at", "plots/report.html", "report/page/"),
}
# From, to, column of the arrow, what travels.
ARROWS = [
    ("prepare", "train_vae", 0, "images"),
    ("prepare", "train_vqvae", 1, "images"),
    ("prepare", "train_classifier", 2, "images, labels"),
    ("train_vae", "geodesic_quantize", 0, "latents"),
    ("geodesic_quantize", "refine", 0, "codes"),
    ("refine", "train_ar", 0, "tokens"),
    ("train_vqvae", "train_ar", 1, "tokens"),
    ("train_ar", "pack", 0.5, "priors"),
    ("pack", "evaluate", 0.5, "models"),
    ("train_classifier", "evaluate", 2, "judge"),
    ("evaluate", "report", 1, "figures"),
]


def draw() -> str:
    """The picture, as SVG."""
    parts = []
    for start, end, column, label in ARROWS:
        x = column * COLUMN + 10 + WIDTH / 2
        top, bottom = BOXES[start][2] * ROW + 10 + HEIGHT, BOXES[end][2] * ROW + 10
        parts.append(
            f'<path d="M{x:g} {top}V{bottom - 8}" stroke="#666" stroke-width="1.5"/>'
            f'<path d="M{x:g} {bottom}l-5-9h10z" fill="#666"/>'
            f'<text x="{x + 8:g}" y="{(top + bottom) / 2 + 3:g}" fill="#666">{label}</text>'
        )
    for name, (column, columns, row, does, files, code) in BOXES.items():
        x, y, width = column * COLUMN + 10, row * ROW + 10, (columns - 1) * COLUMN + WIDTH
        color = "#0072B2" if name in ("geodesic_quantize", "refine") else "#999"
        lines = [(name, "font-weight='bold' font-size='14'"), (does, ""), (files, "fill='#0a6b4f'")]
        lines.append((code, "fill='#777'"))
        text = "".join(
            f'<text x="{x + width / 2:g}" y="{y + 18 + 17 * i}" text-anchor="middle" {style}>'
            f"{line}</text>"
            for i, (line, style) in enumerate(lines)
        )
        parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{HEIGHT}" rx="6" fill="#f7f7f7" '
            f'stroke="{color}" stroke-width="1.5"/>{text}'
        )
    size = 3 * COLUMN, 7 * ROW + HEIGHT + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" '
        f'width="{size[0]}" height="{size[1]}" font-family="sans-serif" font-size="12">\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


if __name__ == "__main__":
    PICTURE.write_text(draw())
