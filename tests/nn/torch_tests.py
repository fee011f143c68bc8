"""PyTorch's own lists of inputs for its operators and modules, which its tests run through them."""

import sys
import types
import unittest

# Its lists live beside its test base class, which wants a package that the lists do not use.
sys.modules.setdefault("expecttest", types.SimpleNamespace(TestCase=unittest.TestCase))

from torch.testing._internal.common_methods_invocations import op_db  # noqa: E402
from torch.testing._internal.common_modules import module_db  # noqa: E402

FAMILIES = ("MaxPool", "AvgPool", "LPPool", "AdaptiveMaxPool", "AdaptiveAvgPool")
NAMES = [f"{family}{dimensions}d" for family in FAMILIES for dimensions in (1, 2, 3)]


def function_name(module):
    """MaxPool2d -> nn.functional.max_pool2d."""
    words = module.replace("LP", "Lp").replace("Adaptive", "adaptive_")
    return "nn.functional." + words.replace("Pool", "_pool").lower()


OPERATORS = {name: op for name in NAMES for op in op_db if op.name == function_name(name)}
MODULES = {name: info for name in NAMES for info in module_db if info.name == f"nn.{name}"}
