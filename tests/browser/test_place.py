"""What a person sees stays: the place in the address, the place on the page, and the picture itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.canvas import CANVAS, settled, zoom_in
from tests.browser.conftest import NewPage, visit
from tests.browser.steps import INSIDE, holds, settle, until, until_true

VIEW = ("level", "matrix", "layer", "r0", "r1", "c0", "c1", "selected")
DRAWN = {"map": "map?run=sample", "matrix": "matrix?run=sample&matrix=bert.encoder.layer.1.intermediate.dense.weight"}
# the share of the picture that is not its own ground, which the pixel in the corner has
PAINTED = """(canvas) => {
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const ground = new Uint32Array(data.slice(4 * (2 * canvas.width + 2), 4 * (2 * canvas.width + 3)).buffer)[0];
    const pixels = new Uint32Array(data.buffer);
    return pixels.filter((pixel) => pixel !== ground).length / pixels.length;
}"""
LEAST = 0.05  # of a picture is painted: a map of small matrices leaves much of its ground free


def shown(page: Page) -> dict[str, str]:
    """What the map says that it shows, and the address."""
    found = settled(page).locator(CANVAS).evaluate("canvas => ({...canvas.dataset})")
    return {"address": page.url} | {name: found[name] for name in VIEW if name in found}


def move_about(page: Page) -> None:
    """In by the wheel, another layer, a step by keys."""
    zoom_in(page, 9)
    page.get_by_role("radio", name="Difference", exact=True).click()
    settled(page)
    page.locator(CANVAS).press("ArrowRight")
    page.locator(CANVAS).press("ArrowDown")
    settled(page)


@pytest.mark.parametrize("address", DRAWN.values(), ids=DRAWN)
def test_the_address_is_what_is_seen_and_a_reload_shows_it_again(page: Page, address: str) -> None:
    settled(visit(page, address))
    start = shown(page)
    move_about(page)
    seen = shown(page)
    assert seen["layer"] == "difference"
    assert all(seen[name] != start[name] for name in ("address", "r0", "r1"))
    page.reload()
    assert shown(page) == seen
    page.get_by_role("radio", name="Tuned", exact=True).click()
    page.wait_for_url(holds("layer=tuned"))
    other = shown(page)
    assert {name for name in seen if seen[name] != other[name]} == {"address", "layer"}
    page.reload()
    assert shown(page) == other


@pytest.mark.parametrize(("address", "name"), [("row?run=sample", "By index"), ("layers?run=sample", "Neighbors")])
def test_a_choice_deep_in_a_page_leaves_it_where_it_is(new_page: NewPage, address: str, name: str) -> None:
    page = new_page(width=1000, height=420)
    settle(visit(page, address))
    button = page.get_by_role("radio", name=name)
    before = at_the_top(page, button)
    button.click(position={"x": 8, "y": 8})
    expect(button).to_be_checked()
    settle(page)
    until(page, lambda: abs(top(button) - before) < 40, f"{name} where it was, {before:.0f} px from the top")
    assert scrolled(page) > 0


def at_the_top(page: Page, button: Locator) -> float:
    """Scroll until the button is near the top; where it is then."""
    button.evaluate("(found) => found.scrollIntoView({block: 'start'})")
    page.locator("[data-testid=stMain]").evaluate("(main) => main.scrollBy(0, -90)")
    place = [0.0, 1.0]

    def at_rest() -> bool:
        place[:] = [place[1], top(button)]
        return place[0] == place[1]

    until(page, at_rest, "the page at rest")
    assert scrolled(page) > 0
    return place[1]


def top(button: Locator) -> float:
    found = button.bounding_box()
    return -1e6 if found is None else found["y"]


def scrolled(page: Page) -> float:
    found: float = page.locator("[data-testid=stMain]").evaluate("(main) => main.scrollTop")
    return found


def resized(page: Page) -> None:
    for width, height in ((900, 700), (390, 800), (1440, 1000)):
        page.set_viewport_size({"width": width, "height": height})
        until_true(page, INSIDE)
        assert_painted(page)


def themed(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    until_true(page, "() => getComputedStyle(document.querySelector('[data-testid=stApp]')).colorScheme === 'dark'")
    assert_painted(page)
    page.emulate_media(color_scheme="light")
    assert_painted(page)


def away_and_back(page: Page) -> None:
    page.get_by_role("link", name="Row", exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Row 0")
    page.wait_for_url("**/row?run=*")
    for _ in range(2):
        page.go_back()
        assert "/row" not in page.url
        assert_painted(page)
        page.go_forward()
        assert "/row" in page.url
        expect(page.get_by_role("heading", level=1)).to_contain_text("Row 0")


def assert_painted(page: Page) -> None:
    """The map at rest has its picture, whatever came before."""
    assert settled(page).locator(CANVAS).evaluate(PAINTED) > LEAST


@pytest.mark.parametrize(
    ("address", "change"),
    [(DRAWN["map"], resized), (DRAWN["map"], themed), (DRAWN["map"], away_and_back), (DRAWN["matrix"], themed)],
    ids=["map resized", "map themed", "map left", "matrix themed"],
)
def test_the_picture_is_never_left_empty(page: Page, address: str, change: Callable[[Page], None]) -> None:
    settled(visit(page, address))
    assert_painted(page)
    zoom_in(page, 4)
    assert_painted(page)
    change(page)
