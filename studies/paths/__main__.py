"""`python -m studies.paths`."""

import sys

from studies.paths.run import main

if __name__ == "__main__":
    main(sys.argv[1:])
