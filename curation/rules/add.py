"""Samples of a further set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from curation import rules as rules_package
from curation.classes import class_list, digest_of
from curation.expressions import text
from curation.measures.of_class._openai_templates import SLOT, openai_templates
from curation.plugin_options import pinned
from curation.predicates import path_type
from curation.rule import Rule, Scope, expression
from curation.rules._options import Name, Seed
from curation.rules.by_caption._fronts import OPENAI, check_front
from curation.selection import Selection
from curation.selections.addition import Addition
from curation.selections.drop import Drop
from curation.selections.repeat import Repeat
from curation.selections.rewrite import Rewrite
from indexes.errors import PlanError

NAMELESS = "class"
"""What a sample is counted under that has no class to name in its caption."""


@dataclass(frozen=True, slots=True)
class Add(Rule):
    """Bring in the samples of a further set: `reference`, or one of the plan's `sources`.

    The near-pruned splits of arXiv 2310.09562 hold ImageNet-Train itself, with "a photo of a {class}", so that the
    similarity gap of such a split is the reference's for every query. Rules behind this one see the new samples too,
    but not their measures, so that a rule that reads one drops them.

    * `source`: the set. All of it comes in, or what the list `rules` leaves, which reads the set's own columns, and
      measures of it that look at samples one by one (`captions.words`, `classes.single`).
    * `template`: captions for them, `"a photo of a {class}"`, or `openai` for OpenAI's 80 for ImageNet; of several
      templates each sample draws one, by hash. A sample without a class is dropped. Without a template they have the
      set's own captions.
    * `name`: what stands in the slot: a column of the set, by default its label.
    * `names`: where that is an id, what it is called: `imagenet-1k`, `imagenet-21k`, or a JSON file of names by id. The
      first name of a class is taken. `digest` is filled in, and holds a plan to the file that it had.
    * `repeated`: where a uid is on both sides, the sample that is there stays (`keep`), the new one takes its place
      (`replace`), or it is an error.
    """

    source: Name
    rules: tuple[dict[str, Any], ...] = ()
    template: Name | Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    name: Name = "label"
    names: Name | None = None
    digest: Name | None = None
    repeated: Literal["keep", "replace", "error"] = "keep"
    seed: Seed = 0
    shorthand: ClassVar[str | None] = "source"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "source": "reference",
        "rules": [{"random": {"keep": 3}}],
        "template": ["a photo of a {class}", "a sketch of the {class}."],
    }

    def __post_init__(self) -> None:
        given = (self.template,) if isinstance(self.template, str) else self.template or ()
        for template in given:
            check_front(template, "template")
        if self.template is None and (self.names is not None or self.name != "label"):
            raise ValueError(
                "name and names say what stands in the slot of a template; give one, or leave them out"
            )

    def adds(self) -> tuple[str, ...]:
        """The set."""
        return (self.source,)

    def follows(self) -> tuple[str, ...]:
        """Splits whose size a rule of the set takes."""
        return tuple(name for rule, _ in self.inside(Scope()) for name in rule.follows())

    def texts(self) -> tuple[str, ...]:
        """The set's own rules' SQL, and the name."""
        inner = tuple(text for rule, _ in self.inside(Scope()) for text in rule.texts())
        return inner if self.template is None else (*inner, self.name)

    def texts_of_sets(self) -> tuple[tuple[str, str], ...]:
        """All of these: they are over the set's columns and measures."""
        return tuple((self.source, each) for each in self.texts())

    def reads_measures(self) -> tuple[str, ...]:
        """None of the pool."""
        return ()

    def inside(self, scope: Scope) -> tuple[tuple[Rule, Scope], ...]:
        """The set's own rules: they see its columns, and no measure."""
        placed = []
        for place, entry in enumerate(self.rules):
            where = f"{scope.where}.rules[{place}]"
            if len(entry) != 1:
                raise PlanError(
                    f"{where}: got {entry!r}; a rule is a map of its name to its options, such as "
                    "{random: {keep: 100}}"
                )
            name, options = next(iter(entry.items()))
            rule = rules_package.parse(name, {} if options is None else options, where)
            placed.append((rule, self._sight(scope, f"{where}.{name}")))
        return tuple(placed)

    def _sight(self, scope: Scope, where: str) -> Scope:
        return Scope(where=where, parse=scope.parse, columns=scope.sets.get(self.source))

    def resolved(self, scope: Scope) -> Self:
        """Check the set, its rules and the class names.

        Raises:
            PlanError: If there is no such set, a rule reads a measure, or a class list is not what it was.
        """
        if self.source not in scope.sets:
            raise PlanError(
                f"{scope.where}.source is {self.source!r}, which is no further set of this plan; it has: "
                f"{', '.join(scope.sets) or 'none'}. Name one of these, or add it under sources"
            )
        inner = tuple(_plain(rule, sight) for rule, sight in self.inside(scope))
        changed: dict[str, Any] = {"rules": tuple(dict([rules_package.dump(rule)]) for rule in inner)}
        if self.template is not None:
            sight = self._sight(scope, f"{scope.where}.name")
            changed["name"] = expression(self.name, sight)
        if self.names is not None:
            changed["digest"] = self._digest(self.names, scope.where)
        return replace(self, **changed)

    def _digest(self, names: str, where: str) -> str:
        digest = digest_of(names, f"{where}.names")
        class_list(names, digest, f"{where}.names")
        return pinned(self.digest, digest, f"{where}.names: {names}", where)

    def selection(self, scope: Scope) -> Selection:
        """Drop by the set's rules, then what has no caption."""
        steps = [
            (f"{place}:{rules_package.dump(rule)[0]}", rule.selection(sight))
            for place, (rule, sight) in enumerate(self.inside(scope), 1)
        ]
        if self.template is None:
            return Addition(self.source, tuple(steps), self.repeated)
        named = self._named(scope.where)
        steps.append(
            (NAMELESS, Drop(f"({named}) IS NULL", "what has no class to name", f"({self.name})::VARCHAR"))
        )
        return Addition(self.source, tuple(steps), self.repeated, self._caption(named))

    def _named(self, where: str) -> str:
        """Return the SQL of what stands in the slot; NULL where it is not known or empty."""
        value = f"nullif(({self.name})::VARCHAR, '')"
        if self.names is None:
            return value
        listed = class_list(
            self.names, self.digest or digest_of(self.names, f"{where}.names"), f"{where}.names"
        )
        ids = ", ".join(map(text, listed.ids))
        first = ", ".join(text(each[0]) for each in listed.names)
        return f"list_extract([{first}], list_position([{ids}], {value}))"

    def _templates(self) -> tuple[str, ...]:
        given = (self.template,) if isinstance(self.template, str) else self.template or ()
        return tuple(one for each in given for one in (openai_templates() if each == OPENAI else (each,)))

    def _caption(self, named: str) -> str:
        pieces = [template.split(SLOT) for template in self._templates()]
        if len(pieces) == 1:
            return f"{text(pieces[0][0])} || {named} || {text(pieces[0][1])}"
        befores, afters = ("[" + ", ".join(text(piece[at]) for piece in pieces) + "]" for at in (0, 1))
        place = f"(md5_number_lower(uid::VARCHAR || ':{self.seed:d}') % {len(pieces)})::BIGINT + 1"
        return f"list_extract({befores}, {place}) || {named} || list_extract({afters}, {place})"


def _plain(rule: Rule, sight: Scope) -> Rule:
    """Resolve a rule of a set, and refuse what a set has no columns for.

    Raises:
        PlanError: With the place of the rule.
    """
    if rule.needs or rule.adds():
        problem = f"reads the measure {', '.join(rule.needs)}" if rule.needs else "adds another set"
        raise PlanError(
            f"{sight.where} {problem}; rules of a set that is added read its own columns. Write it behind the add, or "
            "take it out"
        )
    resolved = rule.resolved(sight)
    selection = resolved.selection(sight)
    if isinstance(selection, Repeat | Rewrite):
        raise PlanError(
            f"{sight.where} {selection.words()}; rules of a set that is added say which samples come in. Write it "
            "behind the add, where it sees all samples"
        )
    if sight.columns is not None and sight.parse is not None:
        lacking = [".".join(path) for path in resolved.paths(sight) if path_type(path, sight.columns) is None]
        if lacking:
            raise PlanError(
                f"{sight.where} reads {', '.join(lacking)}, which is no column of the set; it has: "
                f"{', '.join(sorted(sight.columns))}. Name one of these, or take the rule out"
            )
    return resolved
