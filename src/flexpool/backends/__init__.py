"""The ways to run a graph: each module here takes a :class:`~flexpool.backends.task.Task`.

``interpret`` is the definition, slow and obvious; ``eager`` composes array operations of NumPy or
PyTorch; ``numba_cpu`` generates a fused kernel; ``triton_gpu`` prints the same graph for a GPU.
"""
