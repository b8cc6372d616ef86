"""Targets in words: their text vectors, and what of the words the text tower cannot read."""

from __future__ import annotations

import torch

from omnisyn.inference.asked import Asked
from omnisyn.models.clip.text_image import TextImageModel
from omnisyn.models.clip.texts import trained_words
from omnisyn.models.clip.vocabulary import CONTEXT_LENGTH, pieces


class WordedTargets:
    """The conditions of targets that are asked for in words; each is encoded once."""

    def __init__(self, asked: Asked, tower: TextImageModel) -> None:
        self.asked = asked
        self._tower = tower
        self._encoded: dict[str, torch.Tensor] = {}

    def condition(self, target: str) -> torch.Tensor:
        """The text vector [1, condition_size] of a target, float32 on the CPU."""
        if target not in self._encoded:
            with torch.inference_mode():
                self._encoded[target] = self._tower.encode_text([self.asked.text(target)])
        return self._encoded[target]

    def oddities(self, target: str) -> list[str]:
        """What of a target's text does not reach the model, one sentence each."""
        if self._tower.shape.tokenizer != "small":
            return []
        odd, text = [], self.asked.text(target)
        if unread := unknown_words(text):
            odd.append(f"the text tower does not know: {', '.join(unread)}")
        # Two marks say where a text begins and ends.
        if len(pieces(text)) > CONTEXT_LENGTH - 2:
            odd.append(f"the text is too long: what follows {CONTEXT_LENGTH - 2} words is not read")
        return odd


def unknown_words(text: str) -> list[str]:
    """The words of a text that no training text has, or not wholly, each once."""
    unread = [
        word.strip(".,;:!?()[]\"'")
        for word in text.split()
        if _signs("".join(piece for piece in pieces(word) if _is_learned(piece))) != _signs(word)
    ]
    return list(dict.fromkeys(unread))


def _is_learned(piece: str) -> bool:
    return piece[0].isdigit() or piece in trained_words()


def _signs(text: str) -> str:
    """Letters and digits of a text."""
    return "".join(filter(str.isalnum, text.lower()))
