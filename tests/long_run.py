"""What tests/test_long_runs.py runs in processes of their own: `python long_run.py NAME ARGUMENTS`, JSON comes out."""

from __future__ import annotations

import gc
import hashlib
import itertools
import json
import os
import pathlib
import sys
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import tinycnn
from tinycnn import data, models, nn, optim, train
from tinycnn.autograd import Tensor
from tinycnn.autograd.function import Node

EPOCH = 200  # steps


def living() -> int:
    """The tensors and nodes of the tape that there are."""
    return sum(issubclass(type(x), (Tensor, Node)) for x in gc.get_objects())


class Meter(train.Callback):
    """Writes down after each epoch what the process holds, before the next begins."""

    def __init__(self, trace_from: int) -> None:
        self.trace_from = trace_from
        self.seen: list[dict[str, int]] = []

    def on_epoch_end(self, trainer: train.Trainer, result: train.EpochResult) -> None:
        import resource  # POSIX has it

        if trainer.step == self.trace_from:
            tracemalloc.start()
        held = {
            "step": trainer.step,
            "resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            "living": living(),
            "files": len(os.listdir("/dev/fd")),
            "threads": threading.active_count(),
        }
        gc.collect()  # empties Python's lists of free tuples too, which count as traced; cycles were living already
        self.seen.append({**held, "traced": tracemalloc.get_traced_memory()[0]})


def memory(folder: str, steps: str, trace_from: str, collect: str) -> Any:
    """LeNet's training as a user has it: a loader with a thread; results, a log, a checkpoint after each epoch."""
    if collect == "no":
        gc.disable()
    tinycnn.manual_seed(0)
    batches = data.DataLoader(data.Subset(data.Digits(), range(2 * EPOCH)), 2, shuffle=True, prefetch=2)
    test = data.DataLoader(data.Subset(data.Digits(train=False), range(16)), 16)
    net = models.lenet(activation="tanh")
    meter = Meter(int(trace_from))
    callbacks = [train.JsonLines(pathlib.Path(folder) / "log.jsonl"), train.Checkpoints(folder), meter]
    trainer = train.Trainer(net, optim.SGD(net.parameters(), lr=0.02, momentum=0.9), callbacks=callbacks)
    trainer.fit(batches, test, epochs=int(steps) // EPOCH)
    return {"seen": meter.seen, "threads": [t.name for t in threading.enumerate()]}


def bits(threads: str, seed: str) -> Any:
    """A digest of everything that a short run leaves: parameters, buffers, momenta, losses."""
    tinycnn.set_num_threads(int(threads))
    tinycnn.manual_seed(int(seed))
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, stride=2), nn.ReLU(), nn.AvgPool2d(2, stride=1), nn.Dropout2d(0.2),
        nn.Flatten(), nn.Linear(512, 256), nn.LayerNorm(256), nn.Dropout(0.3), nn.Linear(256, 10),
    )  # fmt: skip
    batches = data.DataLoader(data.Subset(data.Digits(), range(256)), 64, shuffle=True, prefetch=2)
    trainer = train.Trainer(net, optim.SGD(net.parameters(), lr=0.05, momentum=0.9))
    history = trainer.fit(batches, epochs=2)
    digest = hashlib.sha256()
    for tensor in [*net.state_dict().values(), *(s["momentum_buffer"] for s in trainer.optimizer.state.values())]:
        digest.update(tensor.numpy().tobytes())
    return {
        "digest": digest.hexdigest(),
        "losses": [r.train_loss.hex() for r in history],
        "threads": tinycnn.get_num_threads(),
        "kernels": tinycnn.get_kernels(),
    }


def save(path: str, start: str) -> Any:
    """Writes checkpoints until it is killed, each full of its own number."""
    net = nn.Linear(200, 200)
    for number in itertools.count(int(start)):
        with tinycnn.no_grad():
            for p in net.parameters():
                p.fill_(number)
        train.save_checkpoint(path, net, facts={"number": number})


PROGRAMS: dict[str, Callable[..., Any]] = {"memory": memory, "bits": bits, "save": save}

if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    print(json.dumps(PROGRAMS[name](*arguments)))
