"""How many calls agree with PyTorch, operation by operation.

`--docs` writes docs/pytorch.md instead; `--quick` runs every tenth call.

cd tests; python -m arguments [--quick] [name ...]
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from arguments import document
from arguments.compare import check, check_in_place, run_layer
from arguments.families import ENTRIES, FORMS, IN_PLACE, LAYERS


def main(words: list[str]) -> None:
    if "--docs" in words:
        (Path(__file__).parents[2] / "docs" / "pytorch.md").write_text(document.text(), encoding="utf-8")
        return
    every, wanted = (10 if "--quick" in words else 1), {w for w in words if not w.startswith("--")}
    found: dict[str, list[tuple[int, list[str]]]] = defaultdict(list)
    for form in FORMS:
        if not wanted or form.name in wanted:
            found[form.name].append(check(form.entry, form.space, form.name, form.form, every))
    for name in IN_PLACE:
        if not wanted or name in wanted:
            found[name] += [check_in_place(entry, name, every) for entry in ENTRIES[name[:-1]]]
    for name, layer in LAYERS.items():
        if not wanted or name in wanted:
            found[f"nn.{name}"].append(run_layer(layer, every))
    calls = wrong = 0
    for name, runs in sorted(found.items()):
        count, failures = sum(n for n, _ in runs), [line for _, lines in runs for line in lines]
        calls, wrong = calls + count, wrong + len(failures)
        print(f"{name:40} {count - len(failures):6} of {count:6}")
        for line in failures[:5]:
            print(f"    {line}")
    print(f"{len(found)} operations and layers, {calls - wrong} of {calls} calls agree")


main(sys.argv[1:])
