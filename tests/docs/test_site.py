"""The site is made without network and without a broken link, and README leads to what is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made where no network is. mkdocs --strict ends at a link or an anchor that leads nowhere."""
    directory = tmp_path_factory.mktemp("site")
    done = subprocess.run(["unshare", "--net", ROOT / "scripts" / "docs", directory], capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return directory


@pytest.mark.root
def test_every_page_is_in_it_and_loads_nothing_from_elsewhere(site: Path) -> None:
    made = {str(path.relative_to(site).with_suffix(".md")) for path in site.rglob("*.html")}
    assert {name.removeprefix("docs/") for name in PAGES if name.startswith("docs/")} <= made
    loaded = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
    found = {match for path in site.rglob("*.html") for match in loaded.findall(path.read_text(encoding="utf-8"))}
    assert not [tag for tag in found if 'rel="canonical"' not in tag]


def test_readme_is_short_and_leads_to_what_is_there() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 150
    links = re.findall(r"\]\(([^)#]+)(#[^)]*)?\)", PAGES["README.md"])
    assert len(links) > 10
    assert [path for path, _ in links if not path.startswith("http") and not (ROOT / path).exists()] == []
