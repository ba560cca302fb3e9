"""Measurements: what a training step takes, beside PyTorch where it is installed; which layers take it; memory.

    cases.py           what is measured unless told otherwise
    step.py            whole steps of two engines by turns, in one process
    layers.py          each layer by itself: time, arithmetic per second, share of the machine's peak
    memory.py          the peak of a fresh process
    machine.py         the machine's description, and the peak of its matrix products
    report.py          tables, JSON and the plot
    torch_networks.py  the networks of `tinycnn.models` in plain PyTorch

`tinycnn bench` is this on the command line. PyTorch is imported only when a measurement asks for it.
"""

from .cases import CASES, Case, find_case
from .layers import LayerTime, time_layers
from .machine import describe_machine, measure_peak
from .memory import measure_memory
from .report import layer_table, milliseconds, step_table, write_json, write_plot
from .step import Mode, StepTime, load_torch, set_num_threads, time_step

__all__ = [
    "CASES",
    "Case",
    "LayerTime",
    "Mode",
    "StepTime",
    "describe_machine",
    "find_case",
    "layer_table",
    "load_torch",
    "measure_memory",
    "measure_peak",
    "milliseconds",
    "set_num_threads",
    "step_table",
    "time_layers",
    "time_step",
    "write_json",
    "write_plot",
]
