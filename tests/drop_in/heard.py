"""A mode of PyTorch's functions that notes what it is told."""

from torch.overrides import TorchFunctionMode


class Heard(TorchFunctionMode):
    """A mode that notes which functions it is told of."""

    def __init__(self):
        super().__init__()
        self.functions = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.functions.append(func)
        return func(*args, **(kwargs or {}))
