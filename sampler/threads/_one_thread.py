"""Makes torch run the operators of a thread in that thread alone.

torch spreads an operator over OpenMP threads, which wait for each other at its end. While DALI's threads keep every
processor busy, they wait long: the saliency network took five times as long on two processors as on one.
"""

import threading

import torch

from foveal.sampler.threads._ending import let_forks_wait


def use_one_torch_thread() -> None:
    """Make torch run the calling thread's operators in this thread alone. The setting of other threads, also of later ones, does not change.

    ``torch.set_num_threads`` sets the number for the calling thread and for threads that start later; another thread
    resets the latter.
    """
    before = torch.get_num_threads()
    if before == 1:
        return
    torch.set_num_threads(1)
    restore = threading.Thread(target=_restore, args=(before,))
    restore.start()
    restore.join()


def _restore(threads: int) -> None:
    let_forks_wait()
    torch.set_num_threads(threads)
