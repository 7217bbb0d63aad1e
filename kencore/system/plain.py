"""Text that others wrote, as text: names of tensors and labels, settings of a run, notes, errors.

Wherever such text is shown it goes through one of these, so that it never becomes a link, a picture or a command.
"""

from __future__ import annotations

import re
from typing import Final

_SIGNS: Final = re.compile(r"([\\`*_\[\]#~<>$|&])")
_BEGINS: Final = re.compile(r"(?m)^([ \t]*)([-+=](?=[\s=-]|$)|\d{1,9}(?=[.)](?:\s|$)))")
_LINKS: Final = re.compile(r"(?i)(https?:|ftp:|mailto:|xmpp:|www)(?=[/.\w])")
_ICONS: Final = re.compile(r":(?=[A-Za-z0-9_+-]+[:/])")
_AT: Final = re.compile(r"@(?=\w)")
_BREAK: Final = "\u2060"  # joins words and cannot be seen: what it stands in is no address and no icon
# control characters but tab and new line; marks that turn the direction of a line
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]")
_TAGS: Final = re.compile(r"<(?!/?(?:b|i|br|em|sub|sup|extra)\s*/?>)", re.IGNORECASE)


def markdown(text: str) -> str:
    """For what reads Markdown: pages of the app, labels of widgets. Shown, it is the text itself."""
    found = _SIGNS.sub(r"\\\1", _CONTROL.sub("�", text))
    found = _BEGINS.sub(lambda seen: f"{seen[1]}\\{seen[2]}" if not seen[2].isdigit() else seen[0] + _BREAK, found)
    found = _LINKS.sub(lambda seen: seen[0] + _BREAK, found)
    return _AT.sub("@" + _BREAK, _ICONS.sub(":" + _BREAK, found))


def terminal(text: str) -> str:
    """For a terminal: no sequence that moves, colours, renames or links anything."""
    return _CONTROL.sub("�", text)


def figure(text: str) -> str:
    """For Plotly, whose text knows a few tags: bold and line breaks stay, links do not."""
    return _TAGS.sub("&lt;", text)
