"""The page in a real Chromium: what a person sees, clicks, types and presses."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, CDPSession, Locator, Page, expect, sync_playwright

from assembler.report.build_record import BuildRecord, Violation
from assembler.report.file_table import LayerRow, file_table, shares
from assembler.report.hints import Hint
from assembler.report.html import page
from assembler.report.image_layers import ImageLayer, LayersReport, as_record
from assembler.report.package_facts import Package
from assembler.report.record_part import path_text

from .records import MB, record

EVIL = b"opt/nvidia/</script><img src=x onerror=\"document.title='owned'\">\x1b\xe2\x80\xae"


def build() -> BuildRecord:
    """Two images out of the records' steps; the first with files, shares, kinds and packages."""
    rows = [
        LayerRow(b"opt/nvidia/modules/nvidia.ko", 140 * MB, 3, kind="kernel module", package="nvidia"),
        LayerRow(b"opt/nvidia/modules/nvidia-uvm.ko", 9 * MB, 3, kind="kernel module", package="nvidia"),
        LayerRow(b"opt/nvidia/bin/busybox", 60 * MB, 2, kind="ELF"),
        LayerRow(b"opt/nvidia/load", 20 * MB, None, kind="script"),
        LayerRow(EVIL, 30 * MB, 0, kind="text"),
    ]
    found = shares([row.size for row in rows], [(259 * MB, 50 * MB)])
    table = file_table(
        LayerRow(row.path, row.size, row.step, share, row.kind, row.package)
        for row, share in zip(rows, found, strict=True)
    )
    plain = record()
    other = plain.images[0].model_copy(update={"name": "<b>second</b>"})
    hint = Hint(kind="debug", files=2, bytes=90 * MB, compressed=20 * MB, examples=(path_text(EVIL),))
    images = (plain.images[0].model_copy(update={"table": table, "hints": (hint,)}), other)
    broken = Violation(image="<i>x</i>", what="the layer", limit=40 * MB, actual=46 * MB, culprits=("<script>alert",))
    package = Package(name="nvidia", manager="deb", version="535", licence="<b>NVIDIA</b>")
    return plain.model_copy(update={"images": images, "broken": (broken,), "packages": (package,)})


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "the page's tests need Debian's chromium"
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=quiet)
        yield browser
        browser.close()


@dataclass
class Shown:
    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def at(self, selector: str, **options: str) -> Locator:
        return self.page.locator(selector, **options)  # type: ignore[arg-type]

    def pick(self, selector: str, option: str) -> None:
        self.at(selector).select_option(option)

    def crumbs(self) -> str:
        return self.at("#crumbs").inner_text().replace("\n", "")

    def paths(self) -> list[str]:
        return self.at("#body td.path").all_inner_texts()


def open_page(browser: Browser, file: Path, **options: object) -> Shown:
    shown = Shown(browser.new_page(viewport={"width": 1280, "height": 900}, **options))  # type: ignore[arg-type]
    shown.page.on("console", lambda message: shown.complaints.append(message.text))
    shown.page.on("pageerror", lambda error: shown.complaints.append(str(error)))
    shown.page.on("dialog", lambda dialog: shown.complaints.append(dialog.message))
    shown.page.on("request", lambda request: shown.requests.append(request.url))
    shown.page.goto(file.as_uri())
    shown.page.wait_for_selector("body[data-ready]")
    return shown


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(page(build()), encoding="utf-8")
    return path


@pytest.fixture
def shown(browser: Browser, file: Path) -> Iterator[Shown]:
    """The page; nobody may have complained or asked for anything when the test is done."""
    shown = open_page(browser, file)
    yield shown
    assert shown.complaints == []
    assert shown.requests == [file.as_uri()]
    shown.page.close()


def test_it_opens_with_the_figures(shown: Shown) -> None:
    tiles = shown.at("#tiles").inner_text()
    for figure in ("46.3 MB", "151 MB", "105 MB", "1.64 GB", "1.59 GB", "10.5 times"):
        assert figure in tiles
    assert shown.page.title() == "nvidia: size report"
    assert "4 steps in 6m 12s, docker 20.10.24" in shown.at("#told").inner_text()
    expect(shown.at("#found")).to_have_text("5 files, 259 MB")
    assert "matched nothing" in shown.at("#prune").inner_text()
    assert "all of them" in shown.at("#bars").inner_text()
    assert re.search(r"compile\s+strip\s+170 MB", shown.at("#discarded").inner_text())


def test_it_says_what_is_over_budget_and_what_could_go(shown: Shown) -> None:
    over = shown.at("#over").inner_text()
    assert "<i>x</i>: the layer is 46.0 MB, 6.00 MB over its budget of 40.0 MB" in over and "<script>alert" in over
    assert re.search(r"strip-debug removes it\s+2\s+90.0 MB\s+20.0 MB", shown.at("#hints").inner_text())
    shown.at("#image").select_option(index=1)
    assert shown.at("#hinted").is_hidden()


def test_it_says_which_packages_are_in_the_layer(shown: Shown) -> None:
    assert re.search(r"nvidia\s+535\s+<b>NVIDIA</b>\s+\d\s+\d+.* MB", shown.at("#packages").inner_text())
    shown.at("#image").select_option(index=1)
    assert shown.at("#packaged").is_hidden()


def test_an_image_shows_its_layers_as_steps(browser: Browser, tmp_path: Path) -> None:
    layers = [
        ImageLayer(digest=f"sha256:{n}", media_type="", created_by=f"RUN <b>{n}",
                   files=1, bytes=8 * MB, wasted=0, compressed=5 * MB, uncompressed=9 * MB)
        for n in (1, 2)
    ]  # fmt: skip
    report = LayersReport(imgasm="1", name="debian", manifest="", platform="linux/amd64", layers=tuple(layers))
    (tmp_path / "image.html").write_text(page(as_record(report)), encoding="utf-8")
    shown = open_page(browser, tmp_path / "image.html")
    assert shown.complaints == []
    assert "2 layers" in shown.at("#told").inner_text()
    assert "2: RUN <b>2" in shown.at("#steps").inner_text()
    assert shown.at(".picture").is_hidden(), "layers have no times"
    shown.page.close()


def test_where_one_layer_has_everything_colours_tell_kinds(browser: Browser, tmp_path: Path) -> None:
    rows = [LayerRow(b"usr/bin/one", 8 * MB, 0, 4 * MB, "ELF"), LayerRow(b"usr/share/two", 1 * MB, 0, 1 * MB, "text")]
    layer = ImageLayer(digest="sha256:1", media_type="", created_by="mmdebstrap", files=2, bytes=9 * MB, wasted=0,
                       compressed=5 * MB, uncompressed=9 * MB)  # fmt: skip
    report = LayersReport(imgasm="1", name="/some/where/debian/", manifest="", platform="linux/amd64", layers=(layer,))
    record = as_record(report)
    image = record.images[0].model_copy(update={"table": file_table(rows)})
    path = tmp_path / "image.html"
    path.write_text(page(record.model_copy(update={"images": (image,)})), encoding="utf-8")
    shown = open_page(browser, path)
    assert shown.at("#name").inner_text() == "debian"
    assert "/some/where/debian/" in shown.at("#told").inner_text()
    assert shown.at("#coloring").input_value() == "kind"
    assert {"ELF", "text"} <= set(shown.at("#legend").inner_text().split())
    assert shown.at("#timeline").is_hidden() and "time" not in shown.at("#steps").inner_text().split()
    assert shown.complaints == []
    shown.page.close()


def test_the_url_says_what_is_shown(browser: Browser, file: Path, shown: Shown) -> None:
    shown.page.keyboard.press("/")
    assert shown.page.evaluate("document.activeElement.id") == "search"
    shown.page.keyboard.type("nvidia kernel")
    expect(shown.at("#status")).to_contain_text("149 MB, 2 files")
    assert "busybox" not in shown.at("#children").inner_text()
    shown.at("#children button", has_text="modules").click()
    assert shown.crumbs() == "/opt/nvidia/modules"
    shown.page.reload()
    shown.page.wait_for_selector("body[data-ready]")
    assert shown.crumbs() == "/opt/nvidia/modules"
    assert shown.at("#search").input_value() == "nvidia kernel"
    assert len(shown.paths()) == 2
    shown.requests[:] = [file.as_uri()]


def test_names_are_text(shown: Shown) -> None:
    shown.at("#search").fill("onerror")
    (name,) = shown.paths()
    assert name.endswith(r"""</script><img src=x onerror="document.title='owned'">\u001b\u202e""")
    assert shown.at("img").count() == 0
    assert shown.page.title() == "nvidia: size report"
    assert "<b>second</b>" in shown.at("#image").inner_text()


def test_zooming_by_mouse(shown: Shown) -> None:
    assert shown.crumbs() == "/opt/nvidia"
    shown.at("#treemap").click(position={"x": 150, "y": 250})
    assert shown.crumbs() == "/opt/nvidia/modules"
    assert shown.at("#children").inner_text().split("\n")[0] == "nvidia.ko"
    shown.at("#treemap").hover(position={"x": 150, "y": 250})
    expect(shown.at("#status")).to_have_text("/opt/nvidia/modules/nvidia.ko: 140 MB, 54 % of the layer, strip")
    shown.at("#crumbs button").first.click()
    assert shown.crumbs() == "/"
    shown.at("#children button").first.click()
    assert shown.crumbs() == "/opt"


def test_zooming_by_keyboard(shown: Shown) -> None:
    treemap = shown.at("#treemap")
    treemap.focus()
    treemap.press("ArrowRight")
    expect(shown.at("#status")).to_contain_text("/opt/nvidia/modules: 149 MB, 2 files, 58 % of the layer, strip")
    treemap.press("Enter")
    assert shown.crumbs() == "/opt/nvidia/modules"
    treemap.press("Backspace")
    treemap.press("Escape")
    assert shown.crumbs() == "/opt"


def test_the_whole_page_can_be_reached_by_tab(shown: Shown) -> None:
    reached = set()
    for _ in range(60):
        shown.page.keyboard.press("Tab")
        reached.add(shown.page.evaluate("document.activeElement.closest('[id]')?.id"))
    assert {"image", "coloring", "metric", "treemap", "children", "search", "columns", "rows", "steps"} <= reached


def test_searching_and_sorting(shown: Shown) -> None:
    assert shown.paths()[0] == "/opt/nvidia/modules/nvidia.ko"
    shown.at("#search").fill("NVIDIA kernel")
    assert shown.paths() == ["/opt/nvidia/modules/nvidia.ko", "/opt/nvidia/modules/nvidia-uvm.ko"]
    expect(shown.at("#found")).to_have_text("2 files, 149 MB")
    shown.at("#columns .path button").click()
    assert shown.paths()[0].endswith("nvidia-uvm.ko")
    shown.at("#columns .path button").click()
    assert shown.paths()[0].endswith("nvidia.ko")
    expect(shown.at("#columns .path")).to_have_attribute("aria-sort", "descending")
    shown.at("#search").fill("compile")
    assert shown.paths() == ["/opt/nvidia/bin/busybox"]
    shown.at("#search").fill("no such file")
    assert shown.paths() == []


def test_a_row_shows_itself_in_the_treemap(shown: Shown) -> None:
    rows = shown.at("#rows")
    rows.focus()
    rows.press("ArrowDown")
    rows.press("ArrowDown")
    expect(shown.at("#body tr.chosen")).to_contain_text("busybox")
    rows.press("Enter")
    assert shown.crumbs() == "/opt/nvidia/bin"


def test_a_step_of_the_timeline_stands_out_everywhere(shown: Shown) -> None:
    bar = shown.at(".picture .step[data-step='2']")
    bar.click()
    expect(bar).to_have_attribute("aria-pressed", "true")
    expect(shown.at("#steps button[data-step='2']")).to_have_attribute("aria-pressed", "true")
    assert shown.paths() == ["/opt/nvidia/bin/busybox"]
    bar.focus()
    bar.press("Enter")
    expect(bar).to_have_attribute("aria-pressed", "false")
    assert len(shown.paths()) == 5


def color_at(shown: Shown, x: int, y: int) -> list[int]:
    script = "([x, y]) => [...document.getElementById('treemap').getContext('2d').getImageData(x, y, 1, 1).data]"
    found: list[int] = shown.page.evaluate(script, [x, y])
    return found


def test_colours_mean_steps_kinds_or_packages(shown: Shown) -> None:
    assert color_at(shown, 150, 250)[:3] == [0xE1, 0x57, 0x59], "the fourth step's red"
    shown.pick("#coloring", "kind")
    assert "kernel module" in shown.at("#legend").inner_text()
    shown.pick("#coloring", "package")
    assert "in no package" in shown.at("#legend").inner_text()
    shown.pick("#metric", "compressed bytes")
    assert "28.8 MB" in shown.at("#children").inner_text()


def test_an_image_without_files_has_its_sizes_still(shown: Shown) -> None:
    shown.at("#image").select_option(index=1)
    assert shown.at("#layer").is_hidden() and shown.at("#files").is_hidden()
    assert "46.3 MB" in shown.at("#tiles").inner_text()


def test_dark_mode(browser: Browser, file: Path) -> None:
    dark = open_page(browser, file, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert dark.page.evaluate(ground) == "rgb(13, 17, 23)"
    dark.page.emulate_media(color_scheme="light")
    assert dark.page.evaluate(ground) == "rgb(255, 255, 255)"
    assert dark.complaints == []
    dark.page.close()


def test_nothing_is_wider_than_a_phone(browser: Browser, file: Path) -> None:
    phone = open_page(browser, file)
    phone.page.set_viewport_size({"width": 380, "height": 800})
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 380
    phone.page.close()


def processor_seconds(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "ProcessTime")


def test_a_hundred_thousand_files_open_in_two_seconds_and_scroll(browser: Browser, tmp_path: Path) -> None:
    """Processor time, so that other work on the machine does not count."""
    rows = (LayerRow(b"usr/d%d/e%d/file-%d.h" % (n % 70, n % 3000, n), n % 9973, n % 4) for n in range(100_000))
    plain = build()
    image = plain.images[0].model_copy(update={"table": file_table(rows)})
    text = page(plain.model_copy(update={"images": (image,)}))
    assert len(text) < 3_000_000
    (tmp_path / "large.html").write_text(text, encoding="utf-8")
    shown = open_page(browser, tmp_path / "large.html")
    session = shown.page.context.new_cdp_session(shown.page)
    session.send("Performance.enable")
    assert processor_seconds(session) < 2
    shown.at("#rows").focus()
    shown.page.keyboard.press("End")
    expect(shown.at("#body tr.chosen")).to_be_visible()
    assert shown.at("#body tr").count() < 80
    shown.at("#search").fill("file-99999.h")
    expect(shown.at("#found")).to_have_text("1 file, 269 B")
    assert shown.complaints == []
    shown.page.close()


def test_a_build_without_images_or_steps(browser: Browser, tmp_path: Path) -> None:
    bare = BuildRecord(imgasm="1", recipe=record().recipe)
    (tmp_path / "bare.html").write_text(page(bare), encoding="utf-8")
    shown = open_page(browser, tmp_path / "bare.html")
    assert shown.complaints == []
    assert "0 steps" in shown.at("#told").inner_text() and shown.at("#over").is_hidden()
    shown.page.close()


def test_the_same_record_gives_the_same_page() -> None:
    assert page(build()) == page(build())
    assert "{script-hashes}" not in page(build())
