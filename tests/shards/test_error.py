import pickle

from foveal.shards import DataError, ShardError


def test_reads_as_url_key_reason():
    """The message names the shard, the sample and what is wrong."""
    error = ShardError(
        "data/train-000012.tar", "n01440764_10026", "jpg member is truncated: 1024 of 8211 bytes"
    )

    assert str(error) == "data/train-000012.tar: n01440764_10026: jpg member is truncated: 1024 of 8211 bytes"


def test_leaves_out_the_key_of_a_whole_shard():
    """An error about the shard has no key in its message."""
    assert str(ShardError("a.tar", None, "is empty")) == "a.tar: is empty"


def test_pickles():
    """An error crosses from a worker process with all its parts."""
    error = pickle.loads(pickle.dumps(ShardError("a.tar", "k", "why")))

    assert (error.url, error.key, error.reason, str(error)) == ("a.tar", "k", "why", "a.tar: k: why")


def test_one_error_above_all_that_data_can_be_guilty_of():
    """DataError is the base of the errors about shards, samples and too many bad ones, and of no programming error."""
    from foveal.pipeline import TooManyBadSamplesError
    from foveal.shards._error import RemoteError
    from foveal.tools.offline.zoom import TooManyFailuresError

    assert all(
        issubclass(kind, DataError)
        for kind in (ShardError, RemoteError, TooManyBadSamplesError, TooManyFailuresError)
    )
    assert not issubclass(DataError, ValueError | OSError | RuntimeError)
