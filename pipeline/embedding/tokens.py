"""Captions into the numbers that a model's text tower reads, by the tokenizer that open_clip has for the model."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import DataError, ShapeError

DEFAULT_CONTEXT = 77
# No token of CLIP's vocabulary is longer than 32 bytes, so what lies behind this many characters for each place
# cannot be seen. The cut matters: the time for one word grows with the square of its letters.
CHARACTERS_PER_TOKEN = 64
# CLIP's tokenizer remembers every word that it has seen, and the web has no end of them.
_WORDS_KEPT = 200_000


@dataclass(frozen=True, slots=True, eq=False)
class Tokenizer:
    """The tokenizer of one model.

    Attributes:
        settings: What its numbers depend on, for the encoder's fingerprint.
        context: Tokens of one caption; longer ones are cut, shorter ones filled up.
    """

    settings: dict[str, Any]
    context: int
    _load: Callable[[], Any]

    def tokenize(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokenize captions; of a very long one, the beginning.

        Args:
            texts: `n` captions.

        Returns:
            `(n, context)` int64.

        Raises:
            DataError: If the model's tokenizer is not on this machine.
            ShapeError: If it does not fill the context, as one that belongs to another model.
        """
        if not texts:
            return np.zeros((0, self.context), dtype=np.int64)
        spoken = self._load()
        longest = self.context * CHARACTERS_PER_TOKEN
        found: NDArray[np.int64] = spoken([_shortened(text, longest) for text in texts]).numpy()
        if found.shape != (len(texts), self.context):
            raise ShapeError(
                f"the tokenizer {self.settings['tokenizer']} gave {found.shape} tokens for {len(texts):,} captions, "
                f"the model reads {self.context} for each; name a config whose tokenizer belongs to the model"
            )
        _forget(spoken)
        return found.astype(np.int64, copy=False)


def tokenizer_of(architecture: dict[str, Any]) -> Tokenizer:
    """Find the tokenizer of a model; it is built when the first caption comes, since images need none.

    Args:
        architecture: open_clip's model config.
    """
    text = architecture.get("text_cfg") or {}
    context = int(text.get("context_length", DEFAULT_CONTEXT))
    name = text.get("hf_tokenizer_name") or None
    options = dict(text.get("tokenizer_kwargs") or {})
    mode = text.get("tokenizer_mode")
    settings = {"tokenizer": name or "open_clip's own", "context_length": context, "options": options}
    if mode is not None:
        settings["mode"] = mode
    loaded: list[Any] = []

    def load() -> Any:
        if not loaded:
            loaded.append(_hub(name, context, mode, options) if name else _own(context, options))
        return loaded[0]

    return Tokenizer(settings, context, load)


def _own(context: int, options: dict[str, Any]) -> Any:
    """Build CLIP's tokenizer, whose vocabulary open_clip carries."""
    from open_clip.tokenizer import SimpleTokenizer

    if options.get("reduction_mask") not in (None, "", "simple"):
        raise DataError(
            f"the model's tokenizer shortens captions by '{options['reduction_mask']}', which is drawn by chance or "
            "needs a download; nearfar embeds captions with tokenizers that cut (no reduction_mask) or 'simple'"
        )
    try:
        return SimpleTokenizer(context_length=context, **options)
    except (TypeError, AssertionError) as error:
        raise DataError(
            f"open_clip's tokenizer does not take the config's options {options}: {error}"
        ) from error


def _hub(name: str, context: int, mode: str | None, options: dict[str, Any]) -> Any:
    """Build a tokenizer of the Hugging Face hub from this machine's files."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # nothing is ever downloaded
    from open_clip.tokenizer import HFTokenizer

    try:
        return HFTokenizer(name, context_length=context, tokenizer_mode=mode, **options)
    except (ImportError, OSError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(
            f"the model's tokenizer '{name}' cannot be loaded on this machine ({said}). Its captions cannot be "
            "embedded: install transformers and copy the tokenizer into the Hugging Face cache, or bring text "
            "embeddings with the pool"
        ) from error


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else " ".join(text[: 8 * longest].split())[:longest]


def _forget(spoken: Any) -> None:
    """Drop the words that CLIP's tokenizer remembers once they are many; the special tokens stay."""
    kept = getattr(spoken, "cache", None)
    if isinstance(kept, dict) and len(kept) > _WORDS_KEPT:
        special = {word: word for word in list(kept)[: len(getattr(spoken, "all_special_ids", ()))]}
        kept.clear()
        kept.update(special)
