"""`python -m studies.rate_distortion`."""

import sys

from studies.rate_distortion.run import main

if __name__ == "__main__":
    main(sys.argv[1:])
