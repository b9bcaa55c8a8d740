"""How fast tars become embeddings: against the model alone, the decoders alone, and a plain loop of open_clip's.

    python benchmarks/embed.py --out embed.json [--images 256] [--gpu-images 40000] [--rows ROW ...] [--folder DIR]

Tars are written of JPEGs out of NEARFAR_REAL_DATA's flickr8k, repeated; without it, of noise. Weights are random, which
costs as much as any. Each row is a ratio of two rates of this run, and says what it must reach:

    of_forward    ViT-B/32 in float32, from tars, against its forward pass on tensors in memory
    decode_bound  a model that takes next to nothing, on images of 1,024 × 768, against cores × one process's decoding
    of_a_loop     ViT-B/32 in bfloat16, from tars, against a DataLoader of as many workers as cores and float32; beside
                  it the forward pass alone, and its matrix products alone, than which no forward pass is faster
    parity        worst image's cosine to open_clip's own float32 vectors of the same images, by precision
    memory        peak memory over four times as many images, in processes of their own
    gpu           of_forward and of_a_loop on a GPU in bfloat16; says so where there is none
"""

from __future__ import annotations

import argparse
import gc
import io
import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from embed_peers import forward_rate, loop_rate, own_vectors, products_rate
from PIL import Image
from safetensors.torch import save_file

from pipeline.embedding.encoder import Encoder, EncoderSpec, load_encoder
from pipeline.embedding.image_batches import embed_stream
from pipeline.files.images import decode
from pipeline.readers import open_reader
from pipeline.sets.source import Source

ROWS = ("of_forward", "decode_bound", "of_a_loop", "parity", "memory", "gpu")
SMALL = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "head_width": 32, "patch_size": 32},
    "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 32, "heads": 1, "layers": 1},
}
PER_TAR = 128
CORES = len(os.sched_getaffinity(0))


def photographs() -> list[bytes]:
    """JPEGs to repeat."""
    root = os.environ.get("NEARFAR_REAL_DATA")
    if not root:
        noise = np.random.default_rng(0).integers(0, 256, (64, 133, 200, 3), dtype=np.uint8)
        return [as_jpeg(Image.fromarray(pixels)) for pixels in noise]
    found = []
    for path in sorted((Path(root) / "flickr8k").glob("*.tar")):
        with tarfile.open(path) as tar:
            found += [f.read() for m in tar if m.name.endswith(".jpg") and (f := tar.extractfile(m))]
    return found


def as_jpeg(image: Image.Image) -> bytes:
    """Encode as the web does."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()


def write_tars(folder: Path, files: list[bytes], count: int) -> Path:
    """Write `count` samples, an image and a caption each."""
    folder.mkdir()
    for start in range(0, count, PER_TAR):
        with tarfile.open(folder / f"{start // PER_TAR:05d}.tar", "w") as tar:
            for row in range(start, min(start + PER_TAR, count)):
                for kind, content in (("jpg", files[row % len(files)]), ("txt", b"a photograph")):
                    member = tarfile.TarInfo(f"{row:09d}.{kind}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return folder


def write_model(folder: Path, architecture: dict[str, Any]) -> Path:
    """Write a model of random weights, seed 0, as nearfar and open_clip both read it."""
    folder.mkdir()
    torch.manual_seed(0)
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": architecture, "preprocess_cfg": {}})
    )
    open_clip.factory._MODEL_CONFIGS["bench"] = architecture
    model = open_clip.create_model("bench")
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def images_of(tars: Path) -> Iterator[tuple[str, bytes]]:
    """Read the tars as a run does, hashes included."""
    source = Source(path=str(tars), format="img2dataset")
    reader = open_reader(source)
    for shard in reader.shards(source):
        yield from reader.read(source, shard, True).images()


def embedded(encoder: Encoder, tars: Path) -> tuple[float, np.ndarray]:
    """Embed all tars; returns images per second, the processes' start left out, and the vectors."""
    list(embed_stream(encoder, itertools.islice(images_of(tars), 16), 8))
    gc.collect()  # a quarter of a second among what loading models leaves, and of whichever row it falls to
    started = time.perf_counter()
    found = [one.vector for one in embed_stream(encoder, images_of(tars))]
    return len(found) / (time.perf_counter() - started), np.stack([v for v in found if v is not None])


def decoded_rate(encoder: Encoder, tars: Path) -> float:
    """Decode and frame in this process alone; returns images per second."""
    files = [content for _, content in images_of(tars)]
    started = time.perf_counter()
    for content in files:
        encoder.framing.frame(decode(content))
    return len(files) / (time.perf_counter() - started)


def row(rate: float, of: float, least: float) -> dict[str, Any]:
    """One ratio, and what it must reach."""
    found = {"images_per_second": round(rate, 1), "against": round(of, 1), "ratio": round(rate / of, 2)}
    return found | {"must_reach": least, "reached": rate / of >= least}


def parity(model: Path, tars: Path) -> dict[str, Any]:
    """Worst cosine to open_clip's own vectors, by precision."""
    expected, found = own_vectors(model, images_of(tars)), {}
    names = [name for name, _ in images_of(tars)]
    for precision, least in (("float32", 0.9999), ("bfloat16", 0.999)):
        encoder = load_encoder(EncoderSpec(str(model), precision=precision), "cpu")
        vectors = embedded(encoder, tars)[1].astype(np.float64)
        cosines = (vectors * expected).sum(axis=1) / np.linalg.norm(vectors, axis=1)
        worst = float(cosines.min())
        found[precision] = {"images": len(vectors), "worst_cosine": round(worst, 6)}
        found[precision] |= {"worst_image": names[int(cosines.argmin())]}
        found[precision] |= {"must_reach": least, "reached": worst >= least}
    return found


def peak(model: Path, tars: Path) -> float:
    """Peak memory in MiB of a process that embeds the tars, and of its decoders."""
    code = (
        "import resource, sys; sys.path[:0] = sys.argv[3:]; import embed; from pathlib import Path; "
        "print(embed.peak_here(Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    places = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    done = subprocess.run(
        [sys.executable, "-c", code, str(model), str(tars), *places],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout.split()[-1])


def peak_here(model: Path, tars: Path) -> float:
    """Embed the tars, keep nothing, and say what this took at most, decoders included, in MiB."""
    for _ in embed_stream(load_encoder(EncoderSpec(str(model)), "cpu"), images_of(tars)):
        pass
    children = [
        one for task in Path("/proc/self/task").iterdir() for one in (task / "children").read_text().split()
    ]
    # Not `getrusage`: a process that was started by a large one begins there with the peak of that one.
    said = [Path(f"/proc/{process}/status").read_text() for process in ("self", *children)]
    # One that has just ended has no memory any more.
    return sum(int(text.partition("VmHWM:")[2].split()[0]) for text in said if "VmHWM:" in text) / 1024


def gpu(model: Path, files: list[bytes], folder: Path, count: int) -> dict[str, Any]:
    """The rows of a GPU; where there is none, why they are missing."""
    if not torch.cuda.is_available():
        return {
            "cannot_be_run": "torch sees no CUDA device here; run this script on a machine with one",
            "must_reach": {
                "of_forward": 0.9,
                "of_a_loop": 2.0,
                "images_per_second_on_an_h100_of_16_cores": 4000,
            },
        }
    encoder = load_encoder(EncoderSpec(str(model), precision="bfloat16"), "cuda")
    tars = write_tars(folder / "gpu", files, count)
    rate, _ = embedded(encoder, tars)
    return {
        "device": torch.cuda.get_device_name(),
        "of_forward": row(rate, forward_rate(encoder, count), 0.9),
        "of_a_loop": row(rate, loop_rate(model, tars, CORES, "cuda"), 2.0),
    }


def measured(folder: Path, rows: list[str], images: int, gpu_images: int) -> dict[str, Any]:
    """Do the rows that are asked for, and say each as it is done."""
    files, found = photographs(), dict[str, Any]()
    large = write_model(folder / "large", open_clip.get_model_config("ViT-B-32"))
    small = write_model(folder / "small", SMALL)
    tars = write_tars(folder / "tars", files, images)
    whole = [as_jpeg(decode(file).resize((1024, 768), Image.Resampling.BICUBIC)) for file in files[:64]]
    wide = write_tars(folder / "wide", whole, images)
    work: dict[str, Callable[[], dict[str, Any]]] = {
        "of_forward": lambda: of_forward(large, tars, images),
        "decode_bound": lambda: decode_bound(small, wide, write_tars(folder / "once", whole, images // 4)),
        "of_a_loop": lambda: of_a_loop(large, tars, images),
        "parity": lambda: parity(large, write_tars(folder / "few", files, min(images, 64))),
        "memory": lambda: memory(small, wide, write_tars(folder / "many", whole, 4 * images), images),
        "gpu": lambda: gpu(large, files, folder, gpu_images),
    }
    for name in rows:
        found[name] = work[name]()
        print(json.dumps({name: found[name]}), file=sys.stderr, flush=True)
    return found


def of_forward(model: Path, tars: Path, images: int) -> dict[str, Any]:
    """From tars against the forward pass alone."""
    encoder = load_encoder(EncoderSpec(str(model)), "cpu")
    return row(embedded(encoder, tars)[0], forward_rate(encoder, images), 0.9)


def decode_bound(model: Path, tars: Path, once: Path) -> dict[str, Any]:
    """From tars against what all cores would decode at one process's rate."""
    encoder = load_encoder(EncoderSpec(str(model)), "cpu")
    alone = decoded_rate(encoder, once)
    return row(embedded(encoder, tars)[0], CORES * alone, 0.85)


def of_a_loop(model: Path, tars: Path, images: int) -> dict[str, Any]:
    """In bfloat16 against a plain loop in float32; on a processor without such units, why that cannot be.

    What is to be reached needs a unit that does more than twice the products of float32's, as matrix units do. Zen 4's
    does twice as many, and the loop in float32 already makes 70 % of those that it could: 3 × would be 97 % of all that
    the unit can do, with no decoding, attention or norms beside the products.
    """
    if not bfloat16_units():
        return {"cannot_be_run": "this processor has no units for bfloat16", "must_reach": 3.0}
    encoder = load_encoder(EncoderSpec(str(model), precision="bfloat16"), "cpu")
    found = row(embedded(encoder, tars)[0], loop_rate(model, tars, CORES, "cpu"), 3.0)
    alone = {"forward": forward_rate(encoder, images), "products": products_rate(encoder, images)}
    return found | {"images_per_second_of": {name: round(rate, 1) for name, rate in alone.items()}}


def bfloat16_units() -> list[str]:
    """Name the units for bfloat16 that the processor has."""
    capabilities = torch.cpu.get_capabilities()
    return [name for name in ("avx512_bf16", "amx_bf16") if capabilities.get(name)]


def memory(model: Path, few: Path, many: Path, images: int) -> dict[str, Any]:
    """Peak memory over some images, and over four times as many."""
    before, after = peak(model, few), peak(model, many)
    found = {"images": [images, 4 * images], "peak_mib": [round(before), round(after)]}
    return found | {
        "ratio": round(after / before, 3),
        "must_stay_below": 1.1,
        "reached": after / before < 1.1,
    }


def main() -> None:
    """Write the tars and models, run, and print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--gpu-images", type=int, default=40_000)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="embed-", dir=chosen.folder))
    try:
        found = measured(folder, chosen.rows, chosen.images, chosen.gpu_images)
    finally:
        shutil.rmtree(folder)
    machine = {
        "cpu": platform.processor() or platform.machine(),
        "cores": CORES,
        "bfloat16": bfloat16_units(),
        "load": round(os.getloadavg()[0], 1),
    }
    versions = {name: version(name) for name in ("nearfar", "torch", "open_clip_torch", "pillow")}
    text = json.dumps({"rows": found, "machine": machine, "versions": versions}, indent=2)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
