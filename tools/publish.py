"""Run the pipeline with other parameters and keep its results in docs/results/NAME.

    python -m tools.publish mnist-30-bits -S prepare.dataset=mnist -S prepare.root=../shared/data

The run is a DVC experiment called NAME in a temporary workspace: the checkout stays as it is, and
stages whose inputs are already in the cache do not run again. The pages docs/results/NAME.md, their
list in docs/results/index.md and the table in docs/findings.md are rewritten from all the results
there are. With --page only that is done.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from dvc.api import DVCFileSystem

from geovq.files.writing import new_file
from geovq.params.sections import Params
from geovq.report.results import contents, results_pages, summary
from stages.common import METRICS, PICTURES, RESULTS, run


def main(params: Params) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.publish", description=__doc__)
    parser.add_argument("name", nargs="?", help="folder in docs/results, and DVC experiment")
    parser.add_argument("-S", "--set-param", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--page", action="store_true", help="only rewrite the pages")
    options = parser.parse_args()
    if not options.page:
        if options.name is None:
            parser.error("NAME is missing")
        changes = [word for change in options.set_param for word in ("-S", change)]
        # An earlier experiment of this name gives way; --force would run every stage again.
        subprocess.run(["dvc", "exp", "remove", options.name], stderr=subprocess.DEVNULL)
        command = ["dvc", "exp", "run", "--temp", "--name", options.name, *changes]
        if subprocess.run(command).returncode:
            sys.exit(f"error: the run failed; {RESULTS / options.name} is as it was")
        keep(options.name)
    for name, text in results_pages(RESULTS).items():
        write(RESULTS / f"{name}.md", text)
    put(RESULTS / "index.md", contents(RESULTS))
    put(RESULTS.with_name("findings.md"), summary(RESULTS))


def put(path: Path, text: str) -> None:
    """Put a text between the two marks of a page."""
    block = re.compile(r"(<!-- results -->\n).*?(<!-- end of results -->)", re.DOTALL)
    write(path, block.sub(rf"\1{text}\n\2", path.read_text(encoding="utf-8")))


def write(path: Path, text: str) -> None:
    with new_file(path, ".md") as stream:
        stream.write(text.encode())


def keep(name: str) -> None:
    """Copy parameters, scores and pictures of the experiment out of its commit."""
    files = DVCFileSystem(rev=name)
    wanted = ["params.yaml", f"{METRICS}/evaluate.json", *files.glob(f"{PICTURES}/*.png")]
    for path in wanted:
        kept = RESULTS / name / path.rsplit("/", 1)[-1]
        with new_file(kept, kept.suffix) as stream, files.open(path, mode="rb") as found:
            stream.write(found.read())


if __name__ == "__main__":
    run(main)
