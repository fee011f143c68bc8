"""The report in a real browser: charts drawn, no console error, no request to a network."""

import os
import shutil
import socket

import pytest

from flexpool.lab import compare

INSTALL = "sudo apt-get install chromium"


@pytest.fixture(scope="module")
def chromium():
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None and os.environ.get("FLEXPOOL_TEST_BROWSER") == "required":
        pytest.fail(f"no browser, though one is required here: {INSTALL}")
    if found is None:
        pytest.skip(f"no browser to open the report in; to test it: {INSTALL}")
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("comparison")
    compare(net="lenet5,lenet5-nopool,lenet5/slice", epochs=2, seeds=3, workers=1, out=out)
    return out


@pytest.fixture(scope="module")
def page(chromium, folder):
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto((folder / "report.html").as_uri())
        page.wait_for_selector("#chart-4 .main-svg")
        yield page
        browser.close()


def test_every_chart_is_drawn_with_its_marks(page):
    traces = [page.locator(f"#chart-{n} .scatterlayer .trace").count() for n in range(5)]
    # A row of seeds and a mean each; two differences; a band and a line each, twice; a mark each.
    assert traces == [6, 2, 6, 6, 3]
    for number in range(5):
        box = page.locator(f"#chart-{number} .main-svg").first.bounding_box()
        assert box["width"] > 600
        assert box["height"] > 150


def test_intervals_are_drawn_and_wide(page):
    bars = page.locator("#chart-0 .xerror")
    assert bars.count() == 3
    assert all(bars.nth(i).bounding_box()["width"] > 20 for i in range(3))


def test_charts_answer_to_the_mouse(page):
    page.locator("#chart-2").scroll_into_view_if_needed()
    lines = page.locator("#chart-2 .scatterlayer .trace")
    assert lines.count() == 6
    page.locator("#chart-2 .legendtoggle").first.click()  # hides one variant: band and line
    page.wait_for_function(
        "document.querySelectorAll('#chart-2 .scatterlayer .trace').length === 4", timeout=5000
    )


def test_the_verdict_and_the_table_can_be_read(page):
    assert page.locator("#verdict").inner_text().startswith(("No difference shown", "Beside"))
    rows = page.locator("#variants tbody tr")
    assert [rows.nth(i).locator("td").first.inner_text() for i in range(3)] == [
        "lenet5/max",
        "lenet5-nopool/strided",
        "lenet5/slice",
    ]


def test_a_net_of_each_variant_is_shown(page):
    portraits = page.locator(".portrait")
    assert portraits.count() == 3
    first = portraits.nth(0).locator("img")
    width = first.evaluate("image => image.complete && image.naturalWidth")
    assert width > 1000
    assert first.bounding_box()["height"] > 200
    name = portraits.nth(1).locator("summary").inner_text()
    assert name.startswith("lenet5-nopool/strided seed ")
    assert name.endswith(" %")
    assert not portraits.nth(1).locator("img").is_visible()
    portraits.nth(1).locator("summary").click()
    assert portraits.nth(1).locator("img").is_visible()


def test_nothing_is_wrong_and_nothing_is_fetched(page):
    assert page.said == []
    assert [url for url in page.asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_a_fetch_or_an_error_would_be_noticed(page):
    """The test above can fail: the same listeners hear an error and a request made on purpose."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    before = len(page.said), len(page.asked)
    page.evaluate(f"fetch('http://127.0.0.1:{port}/').catch(() => console.error('asked'))")
    page.wait_for_timeout(500)
    assert len(page.said) > before[0]
    assert any(f":{port}" in url for url in page.asked[before[1] :])
    del page.said[before[0] :], page.asked[before[1] :]


def test_the_page_fits_a_telephone(page):
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 900})
