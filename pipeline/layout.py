"""Where everything lies below an output folder: the only file that spells an output path.

A folder that a person reads holds tables of one schema, so that `read_parquet('<folder>/*.parquet')` works on each.
`internal/` holds what stages hand to one another; nobody else needs it.
"""

from __future__ import annotations

LOCK_FILE = "plan.lock.yaml"
LEDGER = "inputs.json"
SHARDS = "shards.json"
LOG = "log.jsonl"
TOMBSTONES = "tombstones.npy"  # hashes of the samples that were purged: no `--overwrite` removes them
PURGE = "purge.json"  # what a purge that is at work, or was killed, has to remove
COMMITS, ATTEMPTS, EMBEDDINGS = "commits", "attempts", "embeddings"
FOLDERS = (
    *("alike", "atlases", "attempts", "commits", "embeddings", "hosts", "indexes", "internal", "lost"),
    *("measures", "measures_of", "neighbours", "queries", "report", "samples", "shards", "spectra", "splits"),
)
"""Folders that nearfar writes to; anything else in an output folder is the user's."""
FILES = (LOCK_FILE, LEDGER, SHARDS)
VECTORS = {"image": "img_emb", "text": "text_emb"}
"""clip-retrieval's folder for each kind of embedding."""


def part_file(number: int) -> str:
    """Name the file of a part."""
    return f"part-{number:04d}.parquet"


def folder(path: str) -> str:
    """Name the folder of a table's files: what the paths of all its parts begin with."""
    return f"{path.rpartition('/')[0]}/"


def samples(name: str, number: int) -> str:
    """Locate the rows of a part of a set."""
    return f"samples/{name}/{part_file(number)}"


def lost(name: str, number: int) -> str:
    """Locate the rows of a part that failed or could not be read."""
    return f"lost/read/{name}/{part_file(number)}"


def set_aside(name: str, vectors: str, number: int) -> str:
    """Locate the rows of a part whose vector cannot be compared."""
    return f"{all_set_aside(name)}{vectors}/{part_file(number)}"


def all_set_aside(name: str) -> str:
    """Locate such rows for all vectors of a set: what their paths begin with."""
    return f"lost/vectors/{name}/"


def duplicates(name: str) -> str:
    """Locate the list of a set's repeated rows."""
    return f"lost/duplicates/{name}/{part_file(0)}"


def embeddings(name: str, encoder: str) -> str:
    """Locate the folder, in clip-retrieval's layout, of what an encoder made of a set."""
    return f"embeddings/{name}/{encoder}"


def embedding(name: str, encoder: str, kind: str, number: int) -> str:
    """Locate the embeddings of a part; `kind` is `image` or `text`."""
    return f"{embeddings(name, encoder)}/{VECTORS[kind]}/{VECTORS[kind]}_{number:04d}.npy"


def embedding_metadata(name: str, encoder: str, number: int) -> str:
    """Locate the rows beside a part's embeddings."""
    return f"{embeddings(name, encoder)}/metadata/metadata_{number:04d}.parquet"


def encoder_fingerprint(name: str, encoder: str) -> str:
    """Locate what is known of the encoder that made a set's embeddings."""
    return f"{embeddings(name, encoder)}/fingerprint.json"


def index(benchmark: str, file: str = "") -> str:
    """Locate a benchmark's index folder, or a file in it."""
    return f"indexes/{benchmark}/{file}".rstrip("/")


def images(benchmark: str) -> str:
    """Locate the rows of a benchmark's queries, before they have thresholds."""
    return f"internal/images/{benchmark}/{part_file(0)}"


def calibration(benchmark: str, number: int) -> str:
    """Locate, for each query, the nearest sample of a part of the reference."""
    return f"internal/calibrate/{benchmark}/{part_file(number)}"


def measure(kind: str, name: str, number: int | None = None, of: str = "pool") -> str:
    """Locate a measure's columns: its folder, or the part of that number; `of` may be a further set."""
    folder = "measures/" if of == "pool" else f"measures_of/{of}/"
    folder += kind if name == kind else f"{kind}/{name}"  # one that goes by its own name has no folder below
    return folder if number is None else f"{folder}/{part_file(number)}"


def measure_table(kind: str, name: str, table: str, number: int) -> str:
    """Locate a table that a measure leaves beside its columns."""
    return f"{measure_tables(kind, name, table)}{part_file(number)}"


def measure_tables(kind: str, name: str, table: str) -> str:
    """Locate such tables of all parts: what their paths begin with."""
    return f"internal/tables/{kind}/{name}/{table}/"


def judged(name: str, benchmark: str) -> str:
    """Locate what a measure says of a benchmark's queries."""
    return f"queries/{name}/{benchmark}/{part_file(0)}"


def offered(name: str, benchmark: str, number: int) -> str:
    """Locate, for each query, the nearest samples of a part of a set that splits add."""
    return f"internal/offered/{name}/{benchmark}/{part_file(number)}"


def nearest(benchmark: str, number: int) -> str:
    """Locate, for each query, the nearest samples of a part of the pool."""
    return f"internal/nearest/{benchmark}/{part_file(number)}"


def training_sample(name: str, number: int) -> str:
    """Locate a part's share of the sample that a measure is trained on."""
    return f"internal/training/{name}/part-{number:04d}.npz"


def target_summary(name: str) -> str:
    """What a measure takes of its target's queries."""
    return f"internal/targets/{name}.npz"


def model(name: str) -> str:
    """Locate what a measure learned."""
    return f"internal/models/{name}.npz"


def drawn(encoder: str, number: int) -> str:
    """Locate a part's share of the samples that are drawn to say how alike unrelated pairs are."""
    return f"internal/drawn/{encoder}/part-{number:04d}.npz"


def unrelated(benchmark: str) -> str:
    """Locate how alike a benchmark's queries and the drawn samples are."""
    return f"internal/unrelated/{benchmark}.json"


def alike(name: str) -> str:
    """Locate how near each sample of a benchmark or of the reference comes to those before it."""
    return f"alike/{name}.parquet"


def moments(number: int) -> str:
    """Locate sums over the vectors of some parts."""
    return f"internal/moments/{number:04d}.npz"


def spectra(what: str) -> str:
    """Locate the singular values of populations (`values`), or what they come to (`summary`)."""
    return f"spectra/{what}.parquet"


def told(key: str, number: int) -> str:
    """Locate what a user's table says of a part's rows."""
    return f"internal/told/{key}/{part_file(number)}"


def scattered_rows(key: str, number: int) -> str:
    """Locate a part's rows in the order of their groups."""
    return f"internal/groups/{key}/rows/part-{number:04d}.arrow"


def scattered_vectors(key: str, lane: str, number: int) -> str:
    """Locate a part's vectors in the order of their groups; `lane` says whose and of what."""
    return f"internal/groups/{key}/{lane}/part-{number:04d}.npy"


def group_results(name: str, bucket: int) -> str:
    """Locate what a measure found in a bucket of groups."""
    return f"internal/grouped/{name}/bucket-{bucket:04d}.arrow"


def neighbours(benchmark: str) -> str:
    """Locate each query's nearest samples of the pool."""
    return f"neighbours/{benchmark}/{part_file(0)}"


def surviving(split: str) -> str:
    """Locate what of the pool's neighbours a split kept; a query that lost all of them has a row without a sample."""
    return f"internal/surviving/{split}/{part_file(0)}"


def rescanned(split: str, number: int, name: str = "pool") -> str:
    """Locate the nearest kept samples that a part of a set has for queries that lost their whole list."""
    return f"internal/rescan/{split}/{name}/{part_file(number)}"


def gap(split: str) -> str:
    """Locate each query's nearest samples of a split."""
    return f"splits/{split}/neighbours/{part_file(0)}"


def split(name: str, file: str = "") -> str:
    """Locate a split's folder, or a file in it."""
    return f"splits/{name}/{file}".rstrip("/")


def located(split: str, name: str, number: int, ending: str = "parquet") -> str:
    """Locate where the members of a split's samples lie in a set's files: the file of some parts from that one on."""
    return f"internal/located/{split}/{name}/part-{number:04d}.{ending}"


def exported(split: str, file: str = "") -> str:
    """Locate the folder of a split's tars, or a file in it."""
    return f"shards/{split}/{file}".rstrip("/")


def atlas(split: str, number: int | None = None) -> str:
    """Locate the atlas of a split; or a part's share of its samples, before they are laid out."""
    return f"atlases/{split}.parquet" if number is None else f"internal/picked/{split}/{part_file(number)}"


def listed_urls(file: int, piece: int) -> str:
    """Locate a piece of a list of URLs."""
    return f"internal/urls/part-{file:05d}-{piece:05d}.parquet"


def fetched(number: int, what: str) -> str:
    """Locate what was fetched of a piece, as img2dataset names it: its `tar`, its `parquet`, its `stats`."""
    return f"shards/{number:05d}_stats.json" if what == "stats" else f"shards/{number:05d}.{what}"


def fetched_hosts(number: int) -> str:
    """Locate how many rows of a piece came to what, by host."""
    return f"internal/hosts/part-{number:05d}.parquet"


def hosts() -> str:
    """Locate the same for a whole list."""
    return f"hosts/{part_file(0)}"


def report(file: str = "") -> str:
    """Locate the report's folder, or a file in it."""
    return f"report/{file}".rstrip("/")
