"""What flexpool is measured beside. One file each; all have one shape, :class:`Peer`."""

from __future__ import annotations

from collections.abc import Sequence

from flexpool.bench.peers.base import CannotError, Peer, Side, as_arrays
from flexpool.bench.peers.copying import COPY
from flexpool.bench.peers.eager import EAGER
from flexpool.bench.peers.flexpool_itself import FLEXPOOL
from flexpool.bench.peers.inductor import INDUCTOR
from flexpool.bench.peers.jax_xla import JAX
from flexpool.bench.peers.onednn import ONEDNN
from flexpool.bench.peers.onnx_runtime import ONNX_RUNTIME
from flexpool.errors import unknown

__all__ = ["PEERS", "CannotError", "Peer", "Side", "as_arrays", "choose_peers"]

PEERS = {peer.name: peer for peer in (COPY, FLEXPOOL, EAGER, INDUCTOR, ONEDNN, ONNX_RUNTIME, JAX)}


def choose_peers(names: Sequence[str] = ()) -> list[Peer]:
    """Look peers up; the copy and flexpool itself are always among them.

    Raises:
        ArgumentError: if there is none of a name.

    Example:
        >>> [peer.name for peer in choose_peers(["torch"])]
        ['copy', 'flexpool', 'torch']
    """
    for name in names:
        if name not in PEERS:
            raise unknown("peer", name, PEERS)
    always = {COPY.name, FLEXPOOL.name}
    return [p for p in PEERS.values() if not names or p.name in {*always, *names}]
