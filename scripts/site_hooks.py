"""MkDocs hooks: add the repository's own pages, and keep the site free of other hosts.

- README, CONTRIBUTING … become pages of the site; their links are rewritten to its other pages.
- A link to a file of the repository leads to a page that shows it (``source/…``), so that links that work
  on a forge work here, too.
- Diagrams, and search without a server, come from ``docs/vendor``, installed by its lock file.
"""

import posixpath
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import jieba  # type: ignore[import-untyped]
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from opencc import OpenCC

from hatch_build import run_npm

__all__ = ["links_of", "on_config", "on_files", "on_page_markdown", "on_post_build", "on_post_page"]

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "README.md": "tutorial.md",
    "README.zh-TW.md": "tutorial.zh-TW.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "licence.md",
    "deploy/engines/README.md": "engines.md",
}
"""Files outside ``docs/`` that are pages of the site."""

_VENDOR = {
    "assets/vendor/mermaid.js": "@mermaid-js/tiny/dist/mermaid.tiny.js",
    "assets/vendor/iframe-worker.js": "iframe-worker/shim/index.js",
}
_COLOURS = """
// The theme colours every label alike; where a diagram gives a node colours of its own, both go together.
(() => {
  const initialize = mermaid.initialize;
  const own = ".nodeLabel p { color: inherit }";
  mermaid.initialize = (options) => initialize({ ...options, themeCSS: `${options.themeCSS ?? ""}${own}` });
})();
"""
_ELSEWHERE = (
    (re.compile(r'"https://[^"]+/mermaid@[^"]+\.js"'), 'new URL("assets/vendor/mermaid.js",__md_scope).href'),
    (re.compile(r'"https://[^"]+/resize-observer-polyfill"'), '"data:text/javascript,"'),
)
"""URLs that the theme's script would fetch from another host, with their replacements. (Every browser has
ResizeObserver built in.)"""
_LANGUAGES = {
    ".css": "css",
    ".feature": "gherkin",
    ".js": "javascript",
    ".json": "json",
    ".md": "markdown",
    ".py": "python",
    ".toml": "toml",
    ".ts": "typescript",
    ".tsx": "typescript",
    ".yaml": "yaml",
    ".yml": "yaml",
}
_NAMED = {"Dockerfile": "docker", "Makefile": "make"}
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?^ {0,3}\1[`~]*\s*?$", re.M | re.S)
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.S)
_LINK = re.compile(r"(\]\()([^()\s]+(?:\([^()\s]*\)[^()\s]*)*)((?:\s+\"[^\"]*\")?\))")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.I)
_WORDS = ("個資法", "快美", "臺灣", "語音助理", "聲紋", "驗收", "允收標準")
_CHINESE = re.compile(r"[\u3400-\u9fff]{2,}")
_HAN = re.compile(r"[\u3400-\u9fff]")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Expand ``folder/`` in the navigation to the pages of that folder."""
    config.nav = [_unfolded(item, Path(config.docs_dir)) for item in config.nav or []]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside ``docs/``, the sources that pages link to, and the scripts."""
    for path, page in PAGES.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        text = text if path.endswith(".md") else _shown(path, text)
        files.append(File.generated(config, page, content=text))
    for path in sorted(_sources(files)):
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, _source(path), content=_shown(path, text)))
    _teach_words(files)
    modules = _fetched()
    for path, name in _VENDOR.items():
        text = (modules / name).read_text(encoding="utf-8")
        text += _COLOURS if "mermaid" in path else ""
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links to files of the repository as links to pages of the site."""
    origin = _origin(page.file.src_uri)
    if origin is None:
        return markdown
    here = posixpath.dirname(page.file.src_uri)

    def turned(link: str) -> str:
        path, anchor = _split(origin, link)
        if path is None:
            return link
        target = _on_site(path)
        return link if target is None else posixpath.relpath(target, here or ".") + anchor

    return links_replaced(markdown, turned)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Set the language of a Chinese page, used for pronunciation, hyphenation and glyphs."""
    text = page.markdown or ""
    if len(_HAN.findall(text)) > 0.15 * len(text):
        output = output.replace('<html lang="en"', '<html lang="zh-Hant-TW"', 1)
    return output


def on_post_build(config: MkDocsConfig) -> None:
    """Make the theme's script load from the site what it would load from other hosts."""
    scripts = list(Path(config.site_dir, "assets/javascripts").glob("bundle.*.min.js"))
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        for theirs, ours in _ELSEWHERE:
            text, count = theirs.subn(ours, text)
            if count != 1:
                raise PluginError(
                    f"{script.name} does not contain {theirs.pattern}: scripts/site_hooks.py is out of date"
                )
        script.write_text(text.partition("\n//# sourceMappingURL")[0] + "\n", encoding="utf-8")
        script.with_name(f"{script.name}.map").unlink(missing_ok=True)
    if len(scripts) != 1:
        raise PluginError(f"expected one script of the theme, found {len(scripts)}")


def links_replaced(markdown: str, turned: Callable[[str], str]) -> str:
    """Return ``markdown`` with every link target mapped by ``turned``; code is unchanged."""
    pieces, position = [], 0
    for start, end in (*_code_spans(markdown), (len(markdown), len(markdown))):
        text = markdown[position:start]
        pieces.append(_LINK.sub(lambda m: f"{m[1]}{turned(m[2])}{m[3]}", text))
        pieces.append(markdown[start:end])
        position = end
    return "".join(pieces)


def links_of(markdown: str) -> list[str]:
    """Return the targets of all links and images in ``markdown``, except in code."""
    found: list[str] = []

    def noted(link: str) -> str:
        found.append(link)
        return link

    links_replaced(markdown, noted)
    return found


def _code_spans(markdown: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of code; a link whose text is code is still a link."""
    position = 0
    for fence in _FENCE.finditer(markdown):
        yield from _inline(markdown, position, fence.start())
        yield fence.span()
        position = fence.end()
    yield from _inline(markdown, position, len(markdown))


def _inline(markdown: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for span in _CODE.finditer(markdown, start, end):
        yield span.span()


def _teach_words(files: Files) -> None:
    """Add Traditional words to the search's segmenter, which knows Simplified ones only."""
    simplified = OpenCC("t2s")
    for word in _WORDS:
        jieba.add_word(word)
    for file in files.documentation_pages():
        text = "\n".join(_CHINESE.findall(file.content_string))
        plain = simplified.convert(text)
        if len(plain) != len(text):
            continue
        position = 0
        for word in jieba.cut(plain):
            written = text[position : position + len(word)]
            position += len(word)
            if len(word) > 1 and word != written:
                jieba.add_word(written)


def _unfolded(item: Any, docs: Path) -> Any:
    if isinstance(item, list):
        return [_unfolded(one, docs) for one in item]
    if isinstance(item, dict):
        return {title: _unfolded(one, docs) for title, one in item.items()}
    if not str(item).endswith("/"):
        return item
    pages = sorted((docs / item).glob("*.md"), key=lambda page: (page.name != "README.md", page.name))
    return [page.relative_to(docs).as_posix() for page in pages]


def _origin(page: str) -> str | None:
    """Return the path of a page in the repository; None if it is generated."""
    for path, name in PAGES.items():
        if name == page:
            return path
    return None if page.startswith("source/") else f"docs/{page}"


def _split(origin: str, link: str) -> tuple[str | None, str]:
    """Return the path of ``link`` in the repository, and its anchor; None if it is no file of it."""
    path, mark, anchor = link.partition("#")
    if not path or _SCHEME.match(link) or path.startswith("/"):
        return None, ""
    full = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
    return (None, "") if full.startswith("..") else (full, mark + anchor)


def _on_site(path: str) -> str | None:
    """Return the page (or file) of the site for a path in the repository."""
    if path in PAGES:
        return PAGES[path]
    if f"{path}/README.md" in PAGES:
        return PAGES[f"{path}/README.md"]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return _source(path) if (ROOT / path).is_file() else None


def _source(path: str) -> str:
    return f"source/{path}.md" if not path.endswith(".md") else f"source/{path}"


def _sources(files: Files) -> Iterator[str]:
    """Yield files of the repository that pages link to and that are not pages themselves."""
    seen = set()
    for file in files.documentation_pages():
        origin = _origin(file.src_uri)
        if origin is None:
            continue
        for link in links_of(file.content_string):
            path, _ = _split(origin, link)
            target = None if path is None else _on_site(path)
            if path is not None and target is not None and target.startswith("source/") and path not in seen:
                seen.add(path)
                yield path


def _shown(path: str, text: str) -> str:
    """Return a page that shows a file."""
    name = path.rpartition("/")[2]
    language = _LANGUAGES.get(Path(name).suffix) or _NAMED.get(name, "text")
    fence = "`" * max(4, *(len(run) + 1 for run in re.findall(r"`+", text)), 4)
    hidden = "---\nsearch:\n  exclude: true\n---\n\n"
    return f"{hidden}# {path}\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"


@lru_cache(maxsize=1)
def _fetched() -> Path:
    """Return the installed packages of ``docs/vendor``; install them if the lock file is newer."""
    folder = ROOT / "docs" / "vendor"
    modules, lock = folder / "node_modules", folder / "package-lock.json"
    stamp = modules / ".package-lock.json"
    if not stamp.is_file() or stamp.stat().st_mtime < lock.stat().st_mtime:
        quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
        run_npm(
            folder,
            "ci",
            "--ignore-scripts",
            *quiet,
            failed="npm could not download the packages that draw the diagrams",
        )
    return modules
