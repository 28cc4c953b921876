"""Write the repository's address into what a package index shows: links of README.md, and URLs into pyproject.toml.

An index shows pictures and follows links by whole addresses only, and which they are is known where a release is built.
Run in a checkout that is thrown away: python .github/release_addresses.py https://github.com/OWNER/skneural v0.1.0
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

LINK = re.compile(r"(!?)(\[[^\]]*\]\()(?!https?:|#)([^)]+)\)")


def main(address: str, version: str) -> None:
    """Rewrite both files in the current folder."""
    readme, project = Path("README.md"), Path("pyproject.toml")
    readme.write_text(with_links(readme.read_text(encoding="utf-8"), address, version), encoding="utf-8")
    project.write_text(with_urls(project.read_text(encoding="utf-8"), address, version), encoding="utf-8")


def with_links(text: str, address: str, version: str) -> str:
    """Lead the links of a page to the files of this version, pictures to their bytes."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)  # what is no code, what is, and so on

    def whole(link: re.Match[str]) -> str:
        return f"{link[1]}{link[2]}{address}/{'raw' if link[1] else 'blob'}/{version}/{link[3]})"

    return "".join(part if part.startswith("```") else LINK.sub(whole, part) for part in parts)


def with_urls(text: str, address: str, version: str) -> str:
    """Put the pages of the project in front of its extras."""
    pages = {
        "Repository": address,
        "Documentation": f"{address}/blob/{version}/docs/index.md",
        "Changelog": f"{address}/blob/{version}/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }
    table = "".join(f'{name} = "{page}"\n' for name, page in pages.items())
    return text.replace("[project.optional-dependencies]", f"[project.urls]\n{table}\n[project.optional-dependencies]")


if __name__ == "__main__":
    main(*sys.argv[1:])
