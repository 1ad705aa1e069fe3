"""`python -m studies.search`."""

import sys

from studies.search.run import main

if __name__ == "__main__":
    main(sys.argv[1:])
