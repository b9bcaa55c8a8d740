"""A small pool of tars with samples of every kind that an export meets, and how to read one back."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import yaml

Members = dict[str, bytes]


def write_tar(path: Path, members: list[tuple[str, bytes | None]]) -> None:
    """Write members as img2dataset does; one without content is a link to a file outside."""
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.mtime, member.uname, member.mode = 1_700_000_000, "bigdata", 0o444
            if content is None:
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def write_pool(folder: Path) -> None:
    """Three tars of samples with url and caption; the last has a link, and samples that lack text or json."""
    folder.mkdir(parents=True)
    for shard in range(2):
        members: list[tuple[str, bytes | None]] = []
        for row in range(20):
            key, told = (
                f"{shard:05d}{row:04d}",
                {"url": f"http://x.test/{shard}/{row}", "caption": f"é {row}"},
            )
            members += [
                (f"{key}.jpg", bytes([shard, row]) * (200 + 37 * row)),
                (f"{key}.json", json.dumps(told, indent=4).encode()),
                (f"{key}.txt", told["caption"].encode()),
            ]
        write_tar(folder / f"{shard:05d}.tar", members)
    write_tar(
        folder / "00002.tar",
        [
            ("link.jpg", None),
            ("link.txt", b"a link"),
            ("nojson.PNG", b"png bytes"),
            ("nojson.txt", b"only text"),
            ("notext.webp", b"webp bytes"),
            ("notext.json", b'{"caption": "from json", "url": "http://x.test/n", "uid": null}'),
            ("masked.jpg", b"jpg bytes"),
            ("masked.mask.png", b"a mask"),
            ("masked.cls", b"7"),
            ("masked.txt", b""),
        ],
    )


def write_export_plan(folder: Path, **splits: Any) -> Path:
    """Write a plan over that pool without any benchmark; the splits are its own."""
    given = splits or {
        "whole": [{"where": "true"}],
        "some": [{"random": {"keep": 12}}],
        "none": [{"where": "false"}],
    }
    pool = {"path": str(folder / "pool"), "format": "img2dataset"}
    plan = {"name": "export", "pool": pool, "output": str(folder / "out"), "splits": given}
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan | {"engine": {"unit_rows": 1}}))
    return path


def grouped(folder: Path) -> list[tuple[str, str, Members]]:
    """Read tars as webdataset groups them: tar, key and the members by what follows the key's dot, in order."""
    found: list[tuple[str, str, Members]] = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, kind = member.name.partition(".")
                assert member.isreg()
                if not found or found[-1][:2] != (path.name, key):
                    found.append((path.name, key, {}))
                assert kind not in found[-1][2]
                content = tar.extractfile(member)
                assert content is not None
                found[-1][2][kind] = content.read()
    return found
