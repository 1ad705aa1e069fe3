"""What a stage has to know of the DVC that runs it."""

import os
import signal
import threading
import time

__all__ = ["end_with_dvc"]


def end_with_dvc() -> None:
    """End this process soon after the DVC that started it, if one did.

    A DVC that is killed leaves its stage running; that would write its outs while a later run, of
    other parameters perhaps, takes them for its own.
    """
    if "DVC_STAGE" not in os.environ:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
