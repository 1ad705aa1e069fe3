"""Parameters and arguments that are not as they should be."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from scipy import sparse

from geovq import Codec, GeodesicKMeans, GeodesicQuantizer
from tests.malformed.kit import MASKED, POINTS, SMALL, Case, case, geovq, run, with_


def set_to(change: str) -> Callable[[], None]:
    return lambda: geovq(f"fit pictures new {SMALL} -S {change}")


CHAIN = sparse.diags([np.ones(9), np.ones(9)], [1, -1]).tocsr()


def kmeans(points: object = POINTS, weights: object = None, **options: object):
    return lambda: GeodesicKMeans(**{"n_clusters": 3, **options}).fit(points, sample_weight=weights)


def fitted(call: Callable[[GeodesicKMeans], object]):
    return lambda: call(GeodesicKMeans(3, random_state=0).fit(POINTS))


def quantizer(means: object = POINTS, log_variances: object = None, **options: object):
    chosen = {"codes": 4, "tokens": 1, "metric": "euclidean", "neighbors": 5, **options}
    return lambda: GeodesicQuantizer(**chosen).fit(means, log_variances)


def coded(call: Callable[[GeodesicQuantizer], object]):
    made = {"codes": 4, "tokens": 2, "metric": "euclidean", "neighbors": 5}
    return lambda: call(GeodesicQuantizer(**made).fit(POINTS))


def codec(**options: object):
    return lambda: Codec.fit_latents(
        POINTS, **{"codes": 4, "tokens": 2, "train_ar": None, **options}
    )


KEYS = "train_vae.learning_rate train_vae.kl_weight geodesic_quantize.edge_power refine.rate_weight"
WORDS = {"nan": "nan", "inf": ".inf", "minus inf": "-.inf", "1e308": "1.0e+308"}
COUNTS = (
    "train_vae.max_steps train_vae.latent_dim train_vae.batch_size geodesic_quantize.codes "
    "geodesic_quantize.neighbors geodesic_quantize.smoothing train_ar.hidden_dim train_ar.layers "
    "refine.candidates seed"
)


SAMPLING = {
    "-n": ["0", "-3", "100000000000000000000"],
    "--temperature": ["0", "nan", "inf", "-1"],
    "--seed": ["-1", "100000000000000000000"],
}
ESTIMATOR = {
    "n_clusters": [0, 41, 2.5, True, "8", None],
    "n_neighbors": [0, True, -3],
    "smoothing": [-1, 1.5, True],
    "n_init": [0],
    "max_iter": [-1, "a"],
    "edge_power": [0, -1, np.nan, np.inf, "2", None, 1e9],
    "metric": ["odd", None, 3],
    "whiten": ["yes"],
    "random_state": ["a", -1, 1.5],
    "n_jobs": [0, "all"],
}
QUANTISER = {
    "codes": [1, 41, 2.5, True, "8"],
    "tokens": [0, 1.5, True],
    "first_codes": [1],
    "layout": ["odd"],
    "metric": ["odd", "precision"],
    "neighbors": [0, 40, True],
    "smoothing": [-1, 1.5],
    "edge_power": [0, np.inf, np.nan],
    "assignment": ["odd"],
    "clustering": ["odd"],
    "random_state": [-1, "a"],
    "whiten": ["yes"],
}


def values(wrong: dict[str, list]) -> Iterable[tuple[str, object]]:
    """Each name with each of its values."""
    return ((name, value) for name, some in wrong.items() for value in some)


def cases() -> Iterable[Case]:
    """All of them."""
    for key in KEYS.split():
        for name, value in WORDS.items():
            yield case("parameters", f"{key} = {name}", set_to(f"{key}={value}"), key)
    for key in COUNTS.split():
        for value in ("-1", "100000000000000000000", "2.5", "true", "many", "null", "[1]"):
            yield case("parameters", f"{key} = {value}", set_to(f"{key}={value}"), key)
    for change, word in (
        ("train_vae.hidden=[]", "hidden"),
        ("train_vae.hidden=[0]", "hidden"),
        ("train_vae.hidden=8", "hidden"),
        ("train_vae.architecture=odd", "architecture"),
        ("train_vae.odd=1", "train_vae.odd"),
        ("odd.key=1", "odd"),
        ("train_vae=3", "train_vae"),
        ("geodesic_quantize.metric=odd", "metric"),
        ("geodesic_quantize.layout=odd", "layout"),
        ("validation_fraction=0", "validation_fraction"),
        ("validation_fraction=0.9", "validation_fraction"),
        ("train_ar.context=1", "context"),
        ("=3", "KEY=VALUE"),
        ("train_vae.hidden=[", "KEY=VALUE"),
        ("train_vae.hidden={a:", "KEY=VALUE"),
    ):
        yield case("parameters", change, set_to(change), word)
    for option in ("--codes 1", "--codes 41", "--tokens 0", "--neighbors 0", "--neighbors 400",
                   "--latent-dim 0", "--steps 0", "--seed -1", "--layout grid --tokens 3",
                   "--first-codes 1", "--layout product --tokens 3", "--smoothing -1"):  # fmt: skip
        words = option.split()[0][2:].replace("-", "_"), "tokens", "grid", "steps"
        yield case("parameters", option, run(f"fit pictures new {SMALL} {option}"), *words)

    for option, wrong in SAMPLING.items():
        for value in wrong:
            words = f"{option} {value}"
            do = run(f"sample model new.npz {words}")
            yield case("sampling", words, do, "count", "temperature", "seed")
    for name, value in values(ESTIMATOR):
        yield case("estimator", f"{name} = {value!r}", kmeans(**{name: value}), name)
    for name, points in {
        "NaN": with_(POINTS, (3, 1), np.nan),
        "infinite": with_(POINTS, (3, 1), np.inf),
        "strings": POINTS.astype(str),
        "complex": POINTS.astype(complex),
        "dates": np.zeros((40, 3), "datetime64[s]"),
        "objects": np.full((40, 3), None),
        "masked": MASKED,
        "one axis": POINTS[:, 0],
        "three axes": POINTS[None],
        "none": POINTS[:0],
        "no columns": POINTS[:, :0],
        "sparse, and too wide": sparse.csr_matrix((40, 10**12)),
        "a word": "points",
        "nothing": None,
    }.items():
        yield case("estimator", f"X: {name}", kmeans(points), "")
    for name, weights in {
        "too few": np.ones(3),
        "negative": with_(np.ones(40), 3, -1),
        "NaN": with_(np.ones(40), 3, np.nan),
        "infinite": with_(np.ones(40), 3, np.inf),
        "all zero": np.zeros(40),
        "strings": np.full(40, "a"),
        "two axes": np.ones((40, 2)),
    }.items():
        yield case("estimator", f"sample_weight: {name}", kmeans(weights=weights), "")
    for name, metric in {
        "of one pair": lambda a, b: float(np.abs(a - b).sum()),
        "of another shape": lambda a, b: np.ones((len(a), 2)),
        "too few": lambda a, b: np.ones(3),
        "negative": lambda a, b: -np.ones(len(a)),
        "NaN": lambda a, b: np.full(len(a), np.nan),
        "infinite": lambda a, b: np.full(len(a), np.inf),
        "complex": lambda a, b: np.ones(len(a)) * 1j,
        "words": lambda a, b: np.full(len(a), "far"),
        "nothing": lambda a, b: None,
    }.items():
        yield case("estimator", f"a metric: {name}", kmeans(metric=metric), "metric")
    for name, call in {
        "path of a negative": lambda k: k.path(-1, 3),
        "path beyond": lambda k: k.path(0, 9999),
        "path of a half": lambda k: k.path(0, 1.5),
        "path of a bool": lambda k: k.path(True, 3),
        "path of a word": lambda k: k.path("a", 3),
        "predict other columns": lambda k: k.predict(POINTS[:, :2]),
        "predict NaN": lambda k: k.predict(with_(POINTS, (0, 0), np.nan)),
        "predict nothing": lambda k: k.predict(POINTS[:0]),
        "transform other columns": lambda k: k.transform(POINTS[:, :2]),
        "load of a model": lambda k: GeodesicKMeans.load("model"),
        "load of nothing": lambda k: GeodesicKMeans.load("absent.npz"),
        "load of tokens": lambda k: GeodesicKMeans.load("tokens.npz"),
        "load of a codebook": lambda k: GeodesicKMeans.load("model/codebook.npz"),
        "save to a folder": lambda k: k.save("pictures"),
        "save without a suffix": lambda k: k.save("results"),
        "save over latents": lambda k: k.save("latents.npz"),
    }.items():
        yield case("estimator", name, fitted(call), "")
    for name, graph in {
        "not square": CHAIN[:, :5],
        "negative": -CHAIN,
        "NaN": CHAIN * np.nan,
        "infinite": CHAIN * np.inf,
        "two components": sparse.block_diag([CHAIN, CHAIN]).tocsr(),
        "no edge": sparse.csr_matrix((10, 10)),
        "complex": CHAIN.astype(complex),
        "a word": "graph",
        "points": POINTS,
    }.items():
        yield case("graphs", name, kmeans(graph, metric="precomputed"), "")
    yield case("graphs", "smoothed", kmeans(CHAIN, metric="precomputed", smoothing=3), "smoothing")
    for name, change in {
        "an index beyond": lambda g: g.indices.__setitem__(0, 99),
        "a negative index": lambda g: g.indices.__setitem__(0, -1),
        "rows out of order": lambda g: g.indptr.__setitem__(1, 99),
    }.items():

        def broken(change: Callable[[sparse.csr_matrix], None] = change) -> None:
            graph = CHAIN.copy()
            change(graph)
            kmeans(graph, metric="precomputed")()

        yield case("graphs", name, broken, "")

    for name, value in values(QUANTISER):
        words = name, "log_variances"
        yield case("quantiser", f"{name} = {value!r}", quantizer(**{name: value}), *words)
    for name, means in {
        "NaN": with_(POINTS, (3, 1), np.nan),
        "infinite": with_(POINTS, (3, 1), np.inf),
        "strings": POINTS.astype(str),
        "complex": POINTS.astype(complex),
        "bool": POINTS > 0,
        "masked": MASKED,
        "one axis": POINTS[:, 0],
        "none": POINTS[:0],
        "a word": "means",
        "nothing": None,
    }.items():
        yield case("quantiser", f"means: {name}", quantizer(means), "means", "latents", "codes")
    for name, spread in {
        "another shape": POINTS[:30],
        "NaN": with_(POINTS, (3, 1), np.nan),
        "huge": POINTS + 1e6,
        "tiny": POINTS - 1e6,
        "a word": "spread",
    }.items():
        yield case(
            "quantiser",
            f"log_variances: {name}",
            quantizer(POINTS, spread, metric="precision"),
            "log_variances",
        )
    for name, call in {
        "decode too large": lambda q: q.decode(np.full((3, 2), 4)),
        "decode negative": lambda q: q.decode(np.full((3, 2), -1)),
        "decode floats": lambda q: q.decode(np.zeros((3, 2))),
        "decode another shape": lambda q: q.decode(np.zeros((3, 3), int)),
        "decode one axis": lambda q: q.decode(np.zeros(3, int)),
        "encode other columns": lambda q: q.encode(POINTS[:, :2]),
        "encode NaN": lambda q: q.encode(with_(POINTS, (0, 0), np.nan)),
        "load of an estimator": lambda q: GeodesicQuantizer.load("tokens.npz"),
        "load of weights": lambda q: GeodesicQuantizer.load("model/vae.safetensors"),
        "save to a folder": lambda q: q.save("model"),
        "save over latents": lambda q: q.save("latents.npz"),
    }.items():
        yield case("quantiser", name, coded(call), "")
    for name, options in {
        "an unknown option": {"odd": 1},
        "a section that is not there": {"train_vae": {}},
        "codes of words": {"codes": "many"},
        "a section of words": {"train_ar": "big"},
        "seed": {"seed": -1},
        "more codes than latents": {"codes": 64},
    }.items():
        yield case("codec", name, codec(**options), "")
