"""The command `geovq`, also as `python -m geovq`."""

import sys

from geovq.process import ended_while_importing

sys.excepthook = ended_while_importing

from geovq.cli.commands import main  # noqa: E402  (what is to be hooked)

if __name__ == "__main__":
    main()
