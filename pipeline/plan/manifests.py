"""data_manifests/: what is known of a public benchmark or pool, where a user gets it, and on what terms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from indexes.errors import PlanError, UnknownNameError
from pipeline.documents.problems import explain
from pipeline.documents.strict import Strict
from pipeline.documents.yaml_safe import load_yaml
from pipeline.plan.names import PlanName
from pipeline.sets.source import Expect, Source

# The folder lies beside the packages, in a checkout as in an editable install.
SHIPPED = Path(__file__).parents[2] / "data_manifests"
_FOLDERS = ("benchmarks", "pools")

Text = Annotated[str, StringConstraints(min_length=1, max_length=4000)]
Wnid = Annotated[str, StringConstraints(pattern=r"^n[0-9]{8}$")]


class ClassList(Strict):
    """How a set's class folders stand to the 1,000 classes of ImageNet (ILSVRC 2012)."""

    folder: Literal["wnid", "position", "name"] = Field(
        description="A class folder's name: WordNet id, position 0 to 999 in wnid order, or the set's own."
    )
    imagenet: int = Field(ge=0, le=1000, description="How many of the set's classes are classes of ImageNet.")
    wnids: list[Wnid] | None = Field(
        default=None,
        description="Those classes, sorted; omitted where they are all 1,000 or the mapping has them.",
    )
    samples_in_imagenet: int | None = Field(
        default=None, ge=1, description="Images in those classes, where the set has others too."
    )
    mapping: Text | None = Field(default=None, description="Where the mapping to ImageNet is published.")

    @model_validator(mode="after")
    def _list_is_whole(self) -> ClassList:
        if self.wnids is None:
            return self
        if len(self.wnids) != self.imagenet or sorted(set(self.wnids)) != self.wnids:
            raise ValueError(
                f"wnids must be {self.imagenet} different ids in order; got {len(set(self.wnids))}"
            )
        return self


class Manifest(Strict):
    """One file of `data_manifests/benchmarks` or `data_manifests/pools`."""

    name: PlanName = Field(description="The name of the file, without .yaml.")
    kind: Literal["benchmark", "reference", "pool"] = Field(description="What the set is used as.")
    title: Text = Field(description="The set's own name and version.")
    format: Text | None = Field(default=None, description="The reader for the set as it is published.")
    expect: Expect | None = Field(default=None, description="Counts that every whole copy has.")
    options: dict[str, int | bool] = Field(
        default={}, description="Options of its reader that go with the set as it is published."
    )
    classes: ClassList | None = Field(default=None, description="The set's classes, where it has any.")
    get: Text = Field(description="Where a user gets it and how it is laid out.")
    urls: list[Text] = Field(min_length=1, description="Pages of the publishers.")
    terms: Text = Field(description="Terms of use, as the publishers state them.")
    papers: list[Text] = Field(default=[], description="What to cite.")
    notes: list[Text] = Field(default=[], description="What to know before using it.")


def manifest_names() -> tuple[str, ...]:
    """List the manifests that nearfar ships."""
    return tuple(sorted(path.stem for folder in _FOLDERS for path in (SHIPPED / folder).glob("*.yaml")))


def is_manifest(written: Mapping[str, Any]) -> bool:
    """Say whether a YAML document is a manifest, by the keys that each has."""
    needed = {name for name, field in Manifest.model_fields.items() if field.is_required()}
    return needed <= written.keys()


def load_manifest(name_or_path: str, where: str = "manifest") -> Manifest:
    """Read a manifest.

    Args:
        name_or_path: A bare name such as `imagenet_sketch`, or the path of a YAML file.
        where: Place in the plan, for messages.

    Raises:
        UnknownNameError: If it is a bare name that nearfar does not ship.
        PlanError: If the file is not there, or is no manifest.
    """
    path = _find(name_or_path, where)
    document = load_yaml(path, what="manifest")
    try:
        return Manifest.model_validate(document.value)
    except ValidationError as failure:
        raise PlanError(explain(failure, Manifest, document)) from failure


def with_expected_counts(source: Source, where: str) -> Source:
    """Add to `source` what its manifest says: what there must be, its name as that of the dataset, reader's options.

    What the plan gives itself stays.

    Args:
        source: A set of the plan.
        where: Its place in the plan, for messages.

    Raises:
        BadInputError: If its manifest cannot be read.
    """
    if source.manifest is None:
        return source
    manifest = load_manifest(source.manifest, f"{where}.manifest")
    expect = source.expect or _with_labels(manifest)
    told = source.model_copy(update={"expect": expect, "dataset": source.dataset or manifest.name})
    own = {key: value for key, value in manifest.options.items() if source.options.get(key) is None}
    # Only where it is read as it is published: another format has other keys.
    return Source(**(told.model_dump() | own)) if own and source.format in (None, manifest.format) else told


def _with_labels(manifest: Manifest) -> Expect | None:
    """What there must be, with the names of its class folders where these are the classes of ImageNet."""
    expect, classes = manifest.expect, manifest.classes
    if expect is None or classes is None or classes.folder == "name" or expect.labels is not None:
        return expect
    if classes.folder == "position":
        return expect.model_copy(update={"labels": "positions"})
    return expect.model_copy(update={"labels": tuple(classes.wnids) if classes.wnids else "imagenet-1k"})


def _find(name_or_path: str, where: str) -> Path:
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        return Path(name_or_path)
    for folder in _FOLDERS:
        path = SHIPPED / folder / f"{name_or_path}.yaml"
        if path.is_file():
            return path
    raise UnknownNameError(
        "manifest",
        name_or_path,
        manifest_names(),
        f"Name one of these, or the path of a YAML file, under {where}",
    )
