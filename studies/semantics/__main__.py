"""`python -m studies.semantics`."""

import sys

from studies.semantics.run import main

if __name__ == "__main__":
    main(sys.argv[1:])
