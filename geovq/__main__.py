"""`python -m geovq` is the command `geovq`."""

from geovq.cli import main

main()
