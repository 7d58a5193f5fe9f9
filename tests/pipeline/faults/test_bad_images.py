"""Bad samples among good ones: no epoch stops, no batch has an unexpected size, and each bad sample is reported."""

import io
import json
import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from foveal.pipeline import BadSample, Quarantine, TooManyBadSamplesError, ZoomLoader
from foveal.pipeline.faults import BadSamples
from foveal.pipeline.fields import digest_of
from foveal.sampler import UniformSampler
from foveal.shards import ShardError, ShardWarning
from tests.pipeline.making import encode, huge, picture
from tests.pipeline.processes import foveal_threads

FIELDS = ("image", "cls", "__key__", "__valid__", "__size__")
CUT = encode(picture(0, 400, 600), quality=95)[:9000]
# What is wrong, and what it is called.
BAD = {
    "no image": ({"cls": 1}, "member is missing: there is no jpg or jpeg or png or webp, only cls"),
    "no label": ({"jpg": encode(picture(0, 9, 9))}, "member is missing: there is no cls, only jpg"),
    "wrong label": ({"jpg": encode(picture(0, 9, 9)), "cls": b"dog"}, "cls is not an integer: b'dog'"),
    "junk": (
        {"jpg": b"junk", "cls": 1},
        "image is nothing that DALI or Pillow knows: it begins with b'junk'",
    ),
    "empty": ({"jpg": b"", "cls": 1}, "image is empty: 0 bytes"),
    "cut": ({"jpg": CUT, "cls": 1}, "image is cut: after 9000 bytes there is no end mark"),
    "huge": (
        {"png": huge(65535, 65535), "cls": 1},
        "image has more pixels than max_pixels=178956970: 65535 × 65535 pixels (height × width)",
    ),
}
IMAGE = "jpg;jpeg;png;webp"
KIND_AND_FIELD = {
    "no image": ("missing_member", IMAGE),
    "no label": ("missing_member", "cls"),
    "wrong label": ("bad_label", "cls"),
    "huge": ("too_large", IMAGE),
}


def bad_sample(url: str, key: str, what: str) -> BadSample:
    kind, field = KIND_AND_FIELD.get(what, ("corrupt", IMAGE))
    members, parts = BAD[what][0], ("jpg", "png", *([] if field == IMAGE else ["cls"]))
    digest = digest_of(as_bytes(members[name]) for name in parts if name in members)
    return BadSample(url, key, BAD[what][1], kind, field, int(key), digest)


def as_bytes(member: bytes | int) -> bytes:
    return member if isinstance(member, bytes) else str(member).encode()


def good(k: int) -> dict:
    return {"jpg": encode(picture(k, 20 + k, 30)), "cls": k}


@pytest.fixture(scope="module")
def one_of_each(tmp_path_factory) -> tuple[str, list[str]]:
    """Return a shard of 60 samples, every eighth of them bad in another way, and the keys of the bad ones."""
    from foveal.shards import ShardWriter

    path = tmp_path_factory.mktemp("bad") / "s.tar"
    kinds, bad = list(BAD), []
    with ShardWriter(path) as writer:
        for k in range(60):
            kind = kinds[k // 8] if k % 8 == 5 and k // 8 < len(kinds) else None
            bad += [f"{k:02d}"] * (kind is not None)
            writer.write({"__key__": f"{k:02d}", **(BAD[kind][0] if kind else good(k))})
    return str(path), bad


def loader(url, **options) -> ZoomLoader:
    options = {"batch_size": 7, "fields": FIELDS, "max_bad_fraction": 0.5, **options}
    return ZoomLoader(url, UniformSampler(8), **options)


def epoch(one: ZoomLoader) -> list[tuple]:
    """Return an epoch's samples, after a check that each image belongs to its key."""
    samples = []
    for images, labels, keys, valid, sizes in one:
        assert len(images) == len(labels) == len(keys) == len(valid) == len(sizes)
        samples += zip(keys, labels.tolist(), valid.tolist(), sizes.tolist(), images, strict=True)
    for key, label, _valid, size, _image in samples:
        assert (int(key), [20 + int(key), 30]) == (label, size)
    return samples


def quiet_epoch(one: ZoomLoader) -> list[tuple]:
    with pytest.warns(ShardWarning, match="bad sample"):
        return epoch(one)


@pytest.mark.parametrize("shuffle", [False, True])
def test_substitute(one_of_each, shuffle):
    """Each good sample comes once, each batch is full, and each bad sample is replaced by a good one that is marked as not valid."""
    url, bad = one_of_each
    with loader(url, shuffle=shuffle) as one:
        samples = quiet_epoch(one)
        stats, met = one.stats, one.bad_samples

    assert len(samples) == 60
    valid = [key for key, _, is_valid, *_ in samples if is_valid]
    assert sorted(valid + bad) == [f"{k:02d}" for k in range(60)]
    assert stats.substituted == len(bad) == 7
    assert sorted(sample.key for sample in met) == bad


def test_drop(one_of_each):
    """The same samples come in the same order, without the bad ones."""
    url, bad = one_of_each
    with loader(url, on_bad="drop") as one:
        assert [key for key, *_ in quiet_epoch(one)] == [
            f"{k:02d}" for k in range(60) if f"{k:02d}" not in bad
        ]
        assert len(one) == 9


def test_each_fault_has_its_reason(one_of_each):
    """Each bad sample is reported with shard, key and reason, in the order of the shards."""
    url, bad = one_of_each
    with loader(url, on_bad="drop") as one:
        quiet_epoch(one)

    expected = [bad_sample(url, key, what) for key, what in zip(bad, BAD, strict=True)]
    assert sorted(one.bad_samples) == expected


@pytest.mark.parametrize("kind", BAD)
def test_raise(write_shard, kind):
    """The error has one line with url, key and reason; it comes again in the next epoch, and the loader can be used again."""
    content, reason = BAD[kind]
    url = write_shard([{"__key__": f"{k:02d}", **(content if k == 20 else good(k))} for k in range(30)])
    with loader(url, on_bad="raise") as one:
        for _ in range(2):
            with pytest.raises(ShardError, match=f"^{re.escape(f'{url}: 20: {reason}')}$"):
                epoch(one)
            assert foveal_threads() == []
        assert one.bad_samples == [bad_sample(url, "20", kind)]


def test_what_a_warning_says(write_shard):
    """At the end of an epoch that found bad samples, a warning gives their number and the first reason."""
    url = write_shard([{"__key__": f"{k:02d}", **(good(k) if k % 10 else {"cls": 1})} for k in range(30)])
    with loader(url) as one:
        message = (
            f"3 bad sample(s) in this epoch, the first: {url}: 00: member is missing: there is no jpg or jpeg or "
            "png or webp, only cls; the loader's bad_samples has all, and `foveal verify` finds them"
        )
        with pytest.warns(ShardWarning, match=f"^{re.escape(message)}$") as caught:
            epoch(one)
        assert caught[0].filename == __file__
        epoch(one)  # an unexpected warning is an error here


def test_what_a_warning_says_of_labels(write_shard):
    """Where a label is bad, the command that finds it says so: by itself it looks at images only."""
    url = write_shard([{"__key__": f"{k}", **good(k), **({"cls": b"x"} if k == 3 else {})} for k in range(9)])
    with (
        loader(url) as one,
        pytest.warns(ShardWarning, match="all, and `foveal verify --members image,cls` finds them$"),
    ):
        epoch(one)


def test_too_many(write_shard):
    """Too many bad samples are an error that gives their number and the limit."""
    bad = [{"jpg": b"", "cls": 0}, {"cls": 0}, {"cls": 0}, {"cls": 0}]
    url = write_shard(
        [{"__key__": f"{k:02d}", **s} for k, s in enumerate(bad + [good(k) for k in range(4, 30)])]
    )
    message = (
        "4 of this epoch's 30 samples are bad, more than max_bad_fraction=0.1 allows: 3 × 'member is missing', "
        f"1 × 'image is empty'; the last is {url}: 03: member is missing: there is no jpg or jpeg or png or webp, only cls – "
        "run `foveal verify` on the shards, or raise max_bad_fraction."
    )
    with (
        loader(url, max_bad_fraction=0.1) as one,
        pytest.raises(TooManyBadSamplesError, match=f"^{re.escape(message)}$"),
    ):
        epoch(one)


def test_as_many_as_allowed(write_shard):
    """A fraction equal to the limit is allowed."""
    url = write_shard([{"__key__": f"{k:02d}", **(good(k) if k > 2 else {"cls": 1})} for k in range(30)])
    with loader(url, max_bad_fraction=0.1) as one:
        assert len(quiet_epoch(one)) == 30


def test_the_limit_is_of_the_whole_epoch(write_shard):
    """After resuming near the end, the limit still refers to the whole epoch."""
    url = write_shard([{"__key__": f"{k:02d}", **(good(k) if k < 29 else {"cls": 1})} for k in range(30)])
    with loader(url, max_bad_fraction=0.1) as one:
        one.load_state_dict({**one.state_dict(), "position": 28})
        assert next(key for key, *_ in quiet_epoch(one)) == "28"


def test_a_sample_that_is_found_twice_counts_once():
    """A bad sample that two threads find, in its place and as a substitute, counts once."""
    bad = BadSamples("substitute", 0.1, None).begin_epoch(10, [])
    for _ in range(2):
        bad.add(BadSample("a.tar", "1", "image is empty", "corrupt"))
    assert len(bad.all()) == 1
    with pytest.raises(TooManyBadSamplesError, match=r"^2 of this epoch's 10 samples are bad"):
        bad.add(BadSample("a.tar", "2", "image is empty", "corrupt"))


def test_nothing_to_put_in_the_place(write_shard):
    """A data set without a good sample is an error, not an endless search."""
    url = write_shard([{"__key__": "0", "cls": 1}, {"__key__": "1", "cls": 1}])
    message = (
        "100 samples in a row are bad, so no substitute was found: the first is "
        f"{url}: 0: member is missing: there is no jpg or jpeg or png or webp, only cls – run `foveal verify` on the shards"
    )
    with (
        loader(url, max_bad_fraction=1.0) as one,
        pytest.raises(TooManyBadSamplesError) as caught,
    ):
        epoch(one)

    assert str(caught.value) == f"{message}, or look at loader.bad_samples, which has all."
    assert caught.value.without_settings == f"{message}."


def test_nothing_to_put_in_the_place_of_what_cannot_be_decoded(write_shard, monkeypatch):
    """Samples that only decoding finds to be bad count alike: the message names the first, and as many were tried as it says."""
    cut = encode(picture(0, 400, 600), quality=95)[:9000]
    url = write_shard([{"__key__": f"{k:04d}", "jpg": cut, "cls": 1} for k in range(40)])
    monkeypatch.setattr("foveal.pipeline.epoch._reader._TRIES", 5)
    with (
        loader(url, max_bad_fraction=1.0, batch_size=1, num_threads=1, prefetch_factor=1) as one,
        pytest.raises(
            TooManyBadSamplesError,
            match=rf"^5 samples in a row are bad, .*: the first is {re.escape(url)}: 0000: image",
        ),
    ):
        epoch(one)


@pytest.mark.parametrize("on_bad", ["substitute", "drop", "raise"])
def test_a_quarantine_is_read_and_skipped(one_of_each, tmp_path, on_bad):
    """Samples that one run found are skipped by the next, which has the same batches and does not warn."""
    url, bad = one_of_each
    file = tmp_path / "bad.jsonl"
    first = "drop" if on_bad == "drop" else "substitute"
    with loader(url, on_bad=first, quarantine=file, shuffle=True, seed=1) as one:
        expected = quiet_epoch(one)
        found = one.bad_samples
    assert [BadSample(**json.loads(line)) for line in file.read_text().splitlines()] == found
    assert sorted(sample.key for sample in found) == bad

    with loader(url, on_bad=on_bad, quarantine=file, shuffle=True, seed=1) as other:
        again = epoch(other)
        assert other.bad_samples == []
    assert [sample[:4] for sample in again] == [sample[:4] for sample in expected]
    assert all(torch.equal(a[4], b[4]) for a, b in zip(again, expected, strict=True))


def test_raise_goes_on_past_what_is_in_quarantine(one_of_each, tmp_path):
    """With a quarantine file, each run raises another bad sample until there are none."""
    url, bad = one_of_each
    raised = []
    while True:
        with loader(url, on_bad="raise", quarantine=tmp_path / "q") as one:
            try:
                assert len(epoch(one)) == 60
                break
            except ShardError as error:
                raised.append(error.key)

    assert len(set(raised)) == len(raised) > 0
    assert sorted({sample.key for sample in Quarantine(tmp_path / "q").read()}) == bad
    assert set(raised) <= set(bad)


def test_storage_that_fails_is_no_bad_sample(write_shard, tmp_path):
    """A storage failure is raised whatever ``on_bad`` is, and the loader resumes from there when it is over."""
    url = write_shard([{"__key__": f"{k:02d}", **good(k)} for k in range(30)])
    with loader(url, quarantine=tmp_path / "q", max_bad_fraction=1.0) as one:
        everything = epoch(one)
        one.set_epoch(0)
        read, one._shards.read = one._shards.read, _fails_at(one._shards.read, url)
        with pytest.raises(ShardError, match=f"^{re.escape(f'{url}: 17: the disk is gone')}$"):
            epoch(one)
        one._shards.read = read
        one.load_state_dict(one.state_dict())
        assert [s[0] for s in epoch(one)] == [s[0] for s in everything[14:]]
        assert one.bad_samples == []
    assert not (tmp_path / "q").exists()


def _fails_at(read, url):
    def faulty(ordinal, members):
        if ordinal == 17:
            raise ShardError(url, "17", "the disk is gone")
        return read(ordinal, members)

    return faulty


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12, deadline=None)
@given(
    ranks=st.integers(1, 3),
    batch_size=st.integers(1, 9),
    on_bad=st.sampled_from(["substitute", "drop"]),
    last_batch=st.sampled_from(["partial", "pad"]),
)
@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
def test_every_good_sample_once_on_any_ranks(one_of_each, ranks, batch_size, on_bad, last_batch):
    """Over all ranks, each good sample is valid once, and with substitutes all batches are full."""
    url, bad = one_of_each
    options = {"batch_size": batch_size, "on_bad": on_bad, "last_batch": last_batch, "shuffle": True}
    samples, batches = [], set()
    for rank in range(ranks):
        with loader(url, rank=rank, world_size=ranks, max_bad_fraction=1.0, **options) as one:
            batches.add(len(one))
            samples += epoch(one)

    assert len(batches) == 1
    assert sorted([key for key, _, valid, *_ in samples if valid] + bad) == [f"{k:02d}" for k in range(60)]
    if on_bad == "substitute" and last_batch == "pad":
        assert len(samples) == ranks * batch_size * batches.pop()


def test_resumed_in_the_middle(one_of_each):
    """A resumed epoch has the same substitutes as an uninterrupted one."""
    url, _ = one_of_each
    with loader(url, shuffle=True) as whole, loader(url, shuffle=True) as rest:
        everything = [sample[:4] for sample in quiet_epoch(whole)]
        whole.set_epoch(0)
        batches = iter(whole)
        for _ in range(3):
            next(batches)
        rest.load_state_dict(whole.state_dict())
        batches.close()  # its threads change the filters of warnings while Pillow reads
        assert [sample[:4] for sample in quiet_epoch(rest)] == everything[21:]


@pytest.mark.filterwarnings("ignore::foveal.shards.ShardWarning")
def test_what_pillow_decoded_is_counted(write_shard):
    """An image that Pillow decoded is delivered and counted."""
    pixels = picture(0, 20, 30)
    url = write_shard([{"__key__": "0", "gif": encode(pixels, "GIF"), "cls": 0}, {"__key__": "1", **good(1)}])
    with ZoomLoader(url, UniformSampler((20, 30)), batch_size=2, fields=("gif;jpg", "cls")) as one:
        images, labels = next(iter(one))

    assert labels.tolist() == [0, 1]
    assert one.stats.pillow == 1
    shown = np.array(Image.open(io.BytesIO(encode(pixels, "GIF"))).convert("RGB"))
    assert torch.equal((images[0] * 255).round().byte(), torch.from_numpy(shown).permute(2, 0, 1))
