"""Blocks whose shapes and course do not depend on values are one graph for torch.compile."""

import pytest
import torch

from flexpool.nn.block import blocks

WHOLE = [
    *("ada_unpool", "avgmax", "blur_conv", "catavgmax", "ddac", "dpp_full", "fractional_max"),
    *("gfgp", "guided_gaussian", "lip_net", "max_blur", "max_min", "max_unpool", "padded_blur"),
    *("adown", "aps", "aps_unpool", "asap", "attention", "covariance", "flc", "generalized_max"),
    *("hartley", "hwd", "lps", "patch_merging", "rmac", "sim", "space_to_depth", "spd_conv"),
    *("spectral", "tips", "wavelet", "wildcat"),
    *("random_mixed", "s3", "spp", "sppf", "strip"),
]


@pytest.mark.parametrize("name", WHOLE)
def test_one_graph_with_the_same_results_and_draws(name):
    module, inputs = blocks()[name].sample()
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    results = []
    for call in (module, compiled):
        torch.manual_seed(0)
        with torch.no_grad():
            result = call(*inputs)
        results.append(result if isinstance(result, tuple) else (result,))
    torch._dynamo.reset()
    for ours, other in zip(*results, strict=True):
        torch.testing.assert_close(ours, other)
