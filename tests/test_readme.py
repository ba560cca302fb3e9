"""What the README says is true: its example runs, and the files it points to are there."""

from __future__ import annotations

import importlib.util
import pathlib
import re

from d2l_data import write_small_fashion_mnist

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def test_the_example_trains(capsys):
    exec(compile(EXAMPLES[0], "README.md", "exec"), {})
    losses = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 3
    assert losses[-1] < 1  # 2.3 to begin with


def test_the_example_from_the_book_runs(tmp_path, monkeypatch, capsys):
    import matplotlib as mpl

    mpl.use("agg")
    write_small_fashion_mnist(tmp_path, monkeypatch)
    example = EXAMPLES[1].replace("batch_size=256", "batch_size=32")  # there are 320 pictures here
    exec(compile(example, "README.md", "exec"), {})
    assert "test acc" in capsys.readouterr().out


def test_the_table_of_networks_is_what_its_tool_makes():
    path = ROOT / "tools" / "network_table.py"
    spec = importlib.util.spec_from_file_location("network_table", path)
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert f"{tool.BEGIN}\n{tool.table()}\n{tool.END}" in TEXT


def test_every_link_into_the_project_leads_somewhere():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    assert len(links) > 10
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing
