"""Croissant: a dataset described for programs, as JSON-LD (MLCommons Croissant 1.0).

Tars, tables and `sizes.json` have their size and SHA-256. Records have their text from the tables beside the tars, and
the image from the tars. mlcroissant reads images of the side of a join that it begins with, so that side is the tars';
where a sample has two images, or none, the tables stand alone.
"""

from __future__ import annotations

import json

from pipeline.dataset_cards.card_facts import CardFacts, ShippedFile
from pipeline.execution.work import Json
from pipeline.files.afar.endings import IMAGE_KINDS
from pipeline.report.drawing.text import count

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
COUNTS = "_stats.json"
"""What the files of counts end with: they are as many as tars, and `sizes.json` says the same."""
RECORDS, LISTING, IMAGES = "samples", "listing", "images"
_MEDIA = {
    **{"tar": "application/x-tar", "parquet": "application/x-parquet", "json": "application/json"},
    "csv": "text/csv",
}
_BYTES = "application/octet-stream"
_IMAGE_MEDIA = {
    **{"jpg": "image/jpeg", "jpeg": "image/jpeg", "jfif": "image/jpeg", "tif": "image/tiff"},
    **{kind: f"image/{kind}" for kind in ("png", "webp", "gif", "bmp", "tiff", "avif")},
}
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_MEANINGS = {
    "key": "What a sample's members are called.",
    "uid": "A sample's name, 32 hex digits; copies of a repeated sample have one uid.",
    "caption": "The text of the sample.",
    "url": "Where the image came from.",
    "label": "Its class, where the pool says one.",
    "json": "The sample's metadata, as JSON text.",
}


def croissant_bytes(facts: CardFacts) -> bytes:
    """Write the description; an empty split has no records."""
    held = "samples" if facts.samples != 1 else "sample"
    described: Json = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": facts.split,
        "description": (
            f"{count(facts.samples)} image-text {held}: what the split {facts.split} of the plan {facts.plan} leaves "
            "of its pool, as webdataset tars; README.md says how it was made."
        ),
        "conformsTo": CONFORMS_TO,
        **({"license": facts.license} if facts.license else {}),
        "distribution": [*map(_file, _files(facts)), *(_sets(facts) if facts.tars else ())],
        "recordSet": [_records(_one_image_each(facts))] if facts.tars else [],
    }
    return f"{json.dumps(described, indent=1, ensure_ascii=False)}\n".encode()


def _files(facts: CardFacts) -> list[ShippedFile]:
    return [one for one in (*facts.tars, *facts.beside) if not one.name.endswith(COUNTS)]


def _file(one: ShippedFile) -> Json:
    return {
        "@type": "cr:FileObject",
        "@id": one.name,
        "name": one.name,
        "contentUrl": one.name,
        "contentSize": f"{one.bytes} B",
        "encodingFormat": _MEDIA.get(one.name.rpartition(".")[2], _BYTES),
        "sha256": one.sha256,
    }


def _sets(facts: CardFacts) -> tuple[Json, Json]:
    kinds = [kind for kind in IMAGE_KINDS if kind in facts.kinds]
    images = {
        "@type": "cr:FileSet",
        "@id": IMAGES,
        "name": IMAGES,
        "containedIn": [{"@id": one.name} for one in facts.tars],
        "encodingFormat": list(dict.fromkeys(_IMAGE_MEDIA[kind] for kind in kinds)),
        "includes": [f"{key}.{kind}" for kind in kinds for key in _keys(facts)],
    }
    listing = {
        "@type": "cr:FileSet",
        "@id": LISTING,
        "name": LISTING,
        "encodingFormat": _MEDIA["parquet"],
        "includes": "*.parquet",
    }
    return listing, images


def _records(with_images: bool) -> Json:
    fields = [_field(name, meaning, _column(name)) for name, meaning in _MEANINGS.items()]
    if with_images:
        member = _field("image_file", "The member of the tar that is the image.", _of_images("filename"))
        image = _field("image", "The image.", _of_images("content"))
        fields += [member | {"references": _column("image")}, image | {"dataType": "sc:ImageObject"}]
    return {
        "@type": "cr:RecordSet",
        "@id": RECORDS,
        "name": RECORDS,
        "description": "A record for each sample of the tars.",
        "key": {"@id": f"{RECORDS}/key"},
        "field": fields,
    }


def _one_image_each(facts: CardFacts) -> bool:
    return sum(number for kind, number in facts.kinds.items() if kind in IMAGE_KINDS) == facts.samples


def _keys(facts: CardFacts) -> list[str]:
    """Write patterns of the members' keys, which no member of another kind fits, such as `….mask.png`."""
    digits = len(str(facts.samples - facts.kept)) if facts.samples > facts.kept else 0
    return ["?" * 32, *("?" * 32 + "-" + "[0-9]" * many for many in range(1, digits + 1))]


def _of_images(what: str) -> Json:
    return {"fileSet": {"@id": IMAGES}, "extract": {"fileProperty": what}}


def _column(name: str) -> Json:
    return {"fileSet": {"@id": LISTING}, "extract": {"column": name}}


def _field(name: str, meaning: str, source: Json) -> Json:
    return {
        "@type": "cr:Field",
        "@id": f"{RECORDS}/{name}",
        "name": name,
        "description": meaning,
        "dataType": "sc:Text",
        "source": source,
    }
