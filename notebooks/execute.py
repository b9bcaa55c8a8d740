"""Execute a notebook in place (or into another file), so that the same inputs give the same bytes.

    python notebooks/execute.py                                   # 01_similarity_gap.ipynb, over runs/quickstart
    NEARFAR_QUICKSTART=/data/run python notebooks/execute.py --into /tmp/executed.ipynb
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOK = Path(__file__).with_name("01_similarity_gap.ipynb")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(notebook: Path, into: Path) -> None:
    """Run every cell and write the notebook with its outputs, but without times or versions."""
    content = nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        content,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(notebook.parent)}},
    )
    client.execute()
    content.metadata = nbformat.from_dict(METADATA)
    for cell in content.cells:
        cell.metadata = nbformat.from_dict({})
    nbformat.validate(content)
    nbformat.write(content, into)


def main() -> int:
    """Parse the arguments; a cell that fails is shown and makes the exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebook", nargs="?", type=Path, default=NOTEBOOK)
    parser.add_argument("--into", type=Path, help="write here instead of in place")
    arguments = parser.parse_args()
    try:
        execute(arguments.notebook, arguments.into or arguments.notebook)
    except CellExecutionError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
