"""Pages of the site that are made from the source: the first page, the command line, the changelog, the findings."""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that no file in docs/ holds."""
    for name, text in made_pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def made_pages() -> dict[str, str]:
    """Return the text of each made page by its name."""
    return {
        "index.md": as_page((ROOT / "README.md").read_text()),
        "changelog.md": as_page((ROOT / "CHANGELOG.md").read_text()),
        "findings.md": as_page((ROOT / "findings/README.md").read_text()),
        "command-line.md": command_line(),
    }


def as_page(text: str) -> str:
    """Return a file of the root folder with links as they are seen from docs/."""
    return re.sub(r"\]\((?:docs/)?((?!https?://|#)[^)]+)\)", lambda m: f"]({_from_docs(m[1])})", text)


def _from_docs(link: str) -> str:
    if (ROOT / "docs" / link.partition("#")[0]).exists():
        return link
    return {"CHANGELOG.md": "changelog.md"}.get(link, f"https://github.com/foveal/foveal/blob/main/{link}")


def command_line() -> str:
    """Return every verb's help as a page, from the parser itself."""
    import typer  # noqa: PLC0415 - only the site needs it here
    from typer.cli import get_docs_for_click  # noqa: PLC0415 - as above

    from foveal.tools._cli import app  # noqa: PLC0415 - as above

    command: Any = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="foveal", title="Command line")
    text = re.sub(r"^(shard|sample|member|saliency) {2,}(.*)$", r"* **\1**: \2", text, flags=re.MULTILINE)
    text = re.sub(r"^Example: (foveal .*)$", r"Example:\n\n    \1", text, flags=re.MULTILINE)
    return text.replace("<br/>", " ")
