"""Fixtures for all tests."""

import importlib
import os
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Threads of torch that wait for each other in loops take the processors from those they wait for, as soon as two tests run at a
# time: the tests of training took eight times as long. OpenMP asks once, when torch is loaded; so do the processes of tests.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from hypothesis import HealthCheck, settings

# Where no device runs Triton's kernels, its interpreter does. Triton asks once, when it is imported.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Servers of the tests run on this machine, whatever proxy its environment names.
os.environ["no_proxy"] = ",".join(filter(None, (os.environ.get("no_proxy"), "127.0.0.1,localhost")))

# What `make test` says depends on the code alone, not on luck or on how busy a machine is; `make test-all` draws new examples.
# Hypothesis also tries constants of whatever modules are loaded: how many of its examples a strategy refuses depends on that.
settings.register_profile(
    "the same examples",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much],
)
settings.register_profile("new examples", deadline=None)
NEW_EXAMPLES = os.environ.get("FOVEAL_NEW_EXAMPLES") == "1"
settings.load_profile("new examples" if NEW_EXAMPLES else "the same examples")
if not NEW_EXAMPLES:
    torch.manual_seed(0)  # the weights of networks that test modules make when they are imported


@pytest.fixture(autouse=True)
def same_weights() -> None:
    """Start each test at the same seed, which new networks and ``torch.rand`` draw from."""
    if not NEW_EXAMPLES:
        torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def kernels_are_loaded() -> None:
    """Load the CPU kernels, which otherwise the first call does, perhaps in a thread.

    jaxtyping's checks decorate what is loaded, and enter ``warnings.catch_warnings`` for it: a test in which two threads did
    so at the same time missed the warning that it waited for.
    """
    from foveal.sampler.kernels import cpu

    for module in pkgutil.iter_modules(cpu.__path__, f"{cpu.__name__}."):
        importlib.import_module(module.name)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images and shards; tests that need it are skipped if it is absent."""
    folder = Path(os.environ.get("FOVEAL_DATA", ""))
    if not os.environ.get("FOVEAL_DATA") or not folder.is_dir():
        pytest.skip("no real data: set FOVEAL_DATA to the folder that holds photos/, coins/, shards/")
    return folder


@pytest.fixture(scope="session")
def moto() -> Iterator[int]:
    """The port of an S3 server on this machine."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def new_bucket(moto: int) -> Iterator[Callable[[str], Callable[[str, bytes], object]]]:
    """Make an empty bucket on that server, and return a function that puts an object into it."""
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{moto}",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )

    def make(bucket: str) -> Callable[[str, bytes], object]:
        client.create_bucket(Bucket=bucket)
        for found in client.list_objects_v2(Bucket=bucket).get("Contents", ()):
            client.delete_object(Bucket=bucket, Key=found["Key"])
        return lambda key, content: client.put_object(Bucket=bucket, Key=key, Body=content)

    yield make
    client.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that need a GPU if there is none; with FOVEAL_REQUIRE_GPU=1 they fail instead."""
    if torch.cuda.is_available() or os.environ.get("FOVEAL_REQUIRE_GPU") == "1":
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(
                pytest.mark.skip(reason="no CUDA device: set FOVEAL_REQUIRE_GPU=1 to fail instead")
            )
