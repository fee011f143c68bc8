"""Small runs for the tests of what is kept: trained once, used by many."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from flexpool.lab import nets
from flexpool.lab.data import load
from flexpool.lab.inputs import Inputs
from flexpool.lab.recipe import RunConfig
from flexpool.lab.store import Record, Store

DIGITS = tuple("0123456789")


def config_of(net: str, downsampling: str | None = None, **changes: object) -> RunConfig:
    """Make the configuration of a run on digits."""
    plain = RunConfig(
        net=net,
        downsampling=downsampling or nets.find(net).downsampling,
        data="digits",
        data_fingerprint=load("digits").fingerprint,
        seed=0,
        epochs=1,
        batch_size=64,
        lr=0.001,
        scaling="standard",
        device="cpu",
        threads=1,
        torch=torch.__version__,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def published(out: Path, config: RunConfig, image: tuple[int, int, int]) -> torch.nn.Sequential:
    """Keep a net as a run that is finished, with weights as they start; give the net."""
    model = nets.build(config.net, config.downsampling, image=image, seed=config.seed)
    inputs = Inputs(image, DIGITS, 33.0, 0.0125)
    store = Store(out)
    with store.claim(config):
        store.publish(Record(config, "done", inputs=inputs), model.state_dict())
    return model.eval()
