"""`python -m studies.smoothing`."""

import sys

from studies.smoothing.run import main

if __name__ == "__main__":
    main(sys.argv[1:])
