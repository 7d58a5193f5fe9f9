"""The shard that tests of web servers read."""

from tests.shards.reading import samples, tar_bytes

TAR = tar_bytes(samples("abcde", exts=("jpg", "cls", "json")))
