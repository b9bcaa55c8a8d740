"""What README.md shows as code: its plans, and files of one's own."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def example_files() -> dict[str, str]:
    """The files that README shows whole, by their path in the repository."""
    return dict(
        re.findall(r"^\*\*`([\w/]+\.py)`\*\*\n\n```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    )


def plans() -> list[str]:
    """The plans that README shows whole."""
    return re.findall(r"^```yaml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def queries() -> list[str]:
    """The SQL that README shows."""
    return re.findall(r"^```sql\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
