"""Images of 16 bits, which are sampled as two images of 8 bits."""

import pytest
import torch
from torch import Tensor

from foveal.sampler import lowres, sample

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _deep() -> Tensor:
    values = torch.randint(0, 65536, (23, 31, 3), generator=torch.Generator().manual_seed(0))
    return values.to(torch.uint16)


def _grid() -> Tensor:
    return torch.rand(1, 9, 11, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1


def _exact(deep: Tensor) -> Tensor:
    """Points of the same values in float64, by torch alone, in [0, 1]."""
    wide = (deep.to(torch.float64) / 65535).permute(2, 0, 1)[None]
    found = torch.nn.functional.grid_sample(
        wide, _grid().double(), padding_mode="border", align_corners=False
    )
    mean, std = (found.new_tensor(each)[:, None, None] for each in (_MEAN, _STD))
    return (found - mean) / std


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_values_are_rounded_once(dtype: torch.dtype) -> None:
    deep = _deep()
    found = sample([deep], _grid(), antialias=False, mean=_MEAN, std=_STD, dtype=dtype)
    assert found.dtype == dtype
    wanted = _exact(deep)
    # Half of the last digit, and the few millionths by which a position in float32 is off.
    most = wanted.abs() * torch.finfo(dtype).eps / 2 + 1e-4 * torch.finfo(torch.float16).eps
    most += 2e-5
    assert ((found.double() - wanted).abs() <= most).all()


def test_the_result_has_the_order_that_is_asked_for() -> None:
    found = sample([_deep()], _grid(), channels_last=True)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_an_image_of_8_bits_beside_it_keeps_its_values() -> None:
    shallow = torch.randint(0, 256, (17, 19, 3), generator=torch.Generator().manual_seed(2)).to(torch.uint8)
    together = lowres([_deep(), shallow], 5)[1:]
    torch.testing.assert_close(together, lowres([shallow], 5), rtol=0, atol=1e-6)
