"""Workers whose parent was killed end too: nobody asks for what they compute."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

_SECONDS = 5.0


def end_with_parent() -> None:
    """In a worker of loky, end the process some seconds after the one that has started it is gone.

    loky 3.5 ends its workers when their parent says so. After a kill of that they would go on with the fits that they
    were given, and then wait for more for ever. What a fit has kept in its checkpoint stays.
    """
    if os.name == "posix" and multiprocessing.current_process().name.startswith("LokyProcess"):
        threading.Thread(target=_wait_for_end_of, args=(os.getppid(),), daemon=True, name="skneural-parent").start()


def _wait_for_end_of(parent: int) -> None:
    # An orphan gets another parent.
    while os.getppid() == parent:
        time.sleep(_SECONDS)
    os._exit(1)
