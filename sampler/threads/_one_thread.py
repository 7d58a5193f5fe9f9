"""Keep torch's operators in the calling thread to that thread.

torch spreads an operator over OpenMP threads, which wait for each other at its end. Beside DALI's threads, which keep
every processor busy, they wait long: the saliency network took five times as long on two processors as on one.
"""

import threading

import torch


def use_one_torch_thread() -> None:
    """Let torch run the calling thread's operators in it alone. Other threads, also later ones, keep their number.

    ``torch.set_num_threads`` sets the number of the calling thread and that of threads yet to come; another thread
    sets the latter back.
    """
    before = torch.get_num_threads()
    if before == 1:
        return
    torch.set_num_threads(1)
    restore = threading.Thread(target=torch.set_num_threads, args=(before,))
    restore.start()
    restore.join()
