"""One self-contained HTML page: nothing in it is fetched, and nothing in it runs."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources

SIMULATED_TAG = '<span class="tag">SIMULATED</span>'


def document(title: str, body: Iterable[str], style: str = "") -> str:
    """The whole page.

    Args:
        title: of the browser's window, as text.
        body: pieces of HTML.
        style: CSS that only this page needs, beside that of all pages.
    """
    shared = resources.files("omnisyn").joinpath("page.css").read_text("utf-8")
    return "\n".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{shared}{style}</style>\n</head>\n<body>",
            *body,
            "</body>\n</html>\n",
        )
    )


def simulated_banner(text: str) -> str:
    """The frame that says that figures or pictures come from the simulator; `text` says which."""
    return f'<div class="simulated"><strong>SIMULATED DATA</strong>: {escape(text)}</div>'


def research_notice(text: str) -> str:
    """The line that says what the page may be used for."""
    return f'<p class="notice"><strong>Research use only.</strong> {escape(text)}</p>'


def heading(title: str, *, name: str | None = None, simulated: bool = False) -> str:
    """A heading that links lead to by its name, which is its title where none is given."""
    tag = f" {SIMULATED_TAG}" if simulated else ""
    return f'<h2 id="{_anchor(name or title)}">{escape(title)}{tag}</h2>'


def navigation(names: Iterable[str]) -> str:
    """A line of links to the headings of these names."""
    links = (f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in names)
    return f"<nav>{' '.join(links)}</nav>"


def bullet_list(texts: Iterable[str]) -> str:
    """One point a text."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"


def definition_list(entries: Mapping[str, str]) -> str:
    """Names, and beside each what it is."""
    items = (f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries.items())
    return f"<dl>{''.join(items)}</dl>"


def table(columns: Sequence[str], rows: Iterable[str], caption: str = "") -> str:
    """A table that scrolls where it is too wide.

    Args:
        columns: their titles, as text.
        rows: HTML from `<tr>` to `</tr>`.
        caption: HTML.
    """
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    above = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{above}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def data_address(content: bytes, media_type: str = "image/png") -> str:
    """A picture as an address that holds it."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _anchor(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())
