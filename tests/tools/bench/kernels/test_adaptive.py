import json

import pytest
import torch

from foveal.sampler import AdaptiveDownsample, AdaptiveResNet
from foveal.tools.bench.kernels.adaptive import bench_adaptive, budget, check_features, dense_stages


@pytest.fixture
def net():
    torch.manual_seed(0)
    return AdaptiveResNet(18, width=8).eval()


def test_small_run(tmp_path, capsys):
    """A small run prints its table and writes its file."""
    path = tmp_path / "adaptive.json"
    ratios = bench_adaptive(repeats=1, depth=18, size=64, batch_size=2, width=8, json_path=path)

    report = json.loads(path.read_text())
    assert report["of_dense"] == {"0.25": ratios[0.25], "0.5": ratios[0.5], "0.75": ratios[0.75]}
    assert len(report["cases"]) == 6
    printed = capsys.readouterr().out
    assert "ResNet-18 on 2 × 8 × 8 cells" in printed
    assert "25% fine" in printed
    assert "0.44" in printed  # 1/4 + 3/4 * 1/4 of the nodes


def test_wrong_stages_are_noticed(net):
    """Stages whose output is slightly wrong are not timed."""
    adaptive, fine = AdaptiveDownsample(net.layer3, net.layer4), torch.randn(1, 16, 8, 12)
    for level, stride in ((0, 8), (1, 16)):
        dense = dense_stages(net, stride)
        with torch.no_grad():
            assert check_features(adaptive, dense, fine, level) < 1e-5
            with pytest.raises(ValueError, match=rf"features of level {level} must agree to 0.0001, got a"):
                check_features(adaptive, lambda x, dense=dense: 1.001 * dense(x), fine, level)


def test_budget():
    """A quarter of the cells is fine."""
    image = torch.randint(256, (64, 96, 3), dtype=torch.uint8)

    assert budget([image], (8, 12), 0.25).float().mean() == 0.75
