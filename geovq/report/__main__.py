"""`python -m geovq.report FILE`: the table of a run."""

import sys
from pathlib import Path

from geovq.files.store import load_json
from geovq.process import in_one_line
from geovq.report.table import constants, table
from geovq.report.words import remarks, sentences


def main(path: str) -> None:
    """Print the table of one run, what it says, and where to look."""
    scores = load_json(path)
    print(f"\n{constants(scores)}\nnats per image unless the column says otherwise\n")
    print(table(scores))
    print("", *sentences(scores), sep="\n")
    for remark in remarks(scores):
        print(f"\nwarning: {remark}")
    print(f"\nfigures:  {path}\npictures: {Path('plots/images').resolve()}")
    print(f"page:     {Path('plots/report.html').resolve().as_uri()}")


if __name__ == "__main__":
    with in_one_line(bad_input=2):
        main(*sys.argv[1:])
