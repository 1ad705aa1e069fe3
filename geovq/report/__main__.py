"""`python -m geovq.report FILE`: the table of a run."""

import sys

from geovq.process import in_one_line
from geovq.report.table import main

if __name__ == "__main__":
    with in_one_line(bad_input=2):
        main(*sys.argv[1:])
