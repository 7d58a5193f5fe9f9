"""Work for a pool that may take no more."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from foveal._submit import submit


@pytest.fixture(params=["open", "closed"])
def pool(request):
    """Return a pool that takes work, or one that takes no more, as all do when the main thread has ended."""
    with ThreadPoolExecutor(1) as pool:
        if request.param == "closed":
            pool.shutdown()
        yield pool


def test_the_work_is_done(pool):
    """The result is the same, and an error is raised where the result is requested."""
    assert submit(pool, divmod, 7, 2).result() == (3, 1)
    failed = submit(pool, divmod, 7, 0)

    with pytest.raises(ZeroDivisionError):
        failed.result()


def test_a_thread_that_cannot_be_started_is_an_error(monkeypatch):
    """What else a pool refuses for is raised: the work may wait in its queue."""

    def refuse(*_, **__):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match=r"^can't start new thread$"):
        submit(pool, divmod, 7, 2)
