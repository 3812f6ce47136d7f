"""Puts a page together from the package's files, with the policy under which a browser shows it:
nothing is fetched, and nothing runs but the page's own script, by its hash."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping
from importlib.resources import files

__all__ = ["assemble"]


def assemble(name: str, parts: Mapping[str, str]) -> str:
    """The page of this name. ``parts``: what stands in its places, as HTML (or, in a block of
    JSON, as JSON that holds no tag)."""
    folder = files(__package__)
    style = (folder / f"{name}.css").read_text("utf-8")
    script = folder / f"{name}.js"
    made = {"style": style, "script": script.read_text("utf-8") if script.is_file() else ""}
    allowed = f"'{_hash(made['script'])}'" if made["script"] else "'none'"
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    made |= {"csp": html.escape(policy), **parts}
    first, *pieces = (folder / f"{name}.html").read_text("utf-8").split("{{")
    page = [first]
    for piece in pieces:  # one pass: what is put in is not looked at again
        key, _, rest = piece.partition("}}")
        page += [made[key], rest]
    return "".join(page)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
