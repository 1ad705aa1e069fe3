"""`python -m geovq` is the command `geovq`."""

from geovq._signals import exit_on_signals

exit_on_signals()  # before what follows, which takes a while

from geovq.cli import main  # noqa: E402

main()
