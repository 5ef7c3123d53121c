"""A service that is loading, full, wants a key or is gone: the page says so in a sentence, and goes on."""

from tests.service.live import running
from tests.web.conftest import opened, predicted

BUSY = '{"title": "The queue is full", "status": 429, "detail": "full"}'


def test_it_waits_for_a_service_that_is_loading_or_full(open_page):
    """Each says when the next try is; then the page goes on by itself."""
    with open_page() as page:
        predicted(page)
        answers = [(503, '{"detail": "the predictors are loading"}'), (429, BUSY)]

        def answer(route):
            if not answers:
                route.continue_()
                return
            status, text = answers.pop(0)
            route.fulfill(status=status, body=text, headers={"Retry-After": "1"})

        page.route("**/predict", answer)
        page.locator("#examples").get_by_text("VGG").click()
        page.locator("#status").get_by_text("the predictors are loading").wait_for()
        page.locator("#status").get_by_text("The service is full; the next try is in 1 s.").wait_for()
        page.locator("#results td").get_by_text("VGG").wait_for()
        assert page.locator("#status").inner_text() == ""


def test_a_service_that_is_gone(open_page):
    with open_page() as page:
        predicted(page)
        page.route("**/predict", lambda route: route.abort())
        page.locator("#examples").get_by_text("VGG").click()
        page.locator("#status").get_by_text("cannot be reached").wait_for()


def test_a_key_is_wanted_and_kept_for_the_session_only(browser, tiny):
    """It is in no address and no snippet, and gone with the tab."""
    with running(tiny, PEEPHOLE_API_KEYS="secret-key") as live:
        with opened(browser, live.url) as page:
            page.locator("#status").get_by_text("wants a key").wait_for()
            page.fill("#key", "secret-key")
            page.locator("#key").blur()
            predicted(page)
            page.wait_for_timeout(500)
            assert page.evaluate("sessionStorage.length") == 1
            assert page.evaluate("localStorage.length + document.cookie.length") == 0
            assert (
                "secret" not in page.url + page.locator("#curl").text_content() + page.locator("#python").text_content()
            )
            assert "PEEPHOLE_API_KEY" in page.locator("#curl").text_content()
            page.reload()
            predicted(page)
        with opened(browser, live.url) as page:
            page.locator("#status").get_by_text("wants a key").wait_for()


def test_it_works_behind_a_path_prefix(browser, tiny):
    """All paths are relative: a proxy that strips a prefix changes nothing."""
    with running(tiny) as live:
        with opened(browser, live.url + "/"):
            pass
        context = browser.new_context()
        page = context.new_page()

        def strip(route):
            path = route.request.url.removeprefix("http://proxy.test/prefix")
            assert path != route.request.url
            route.fulfill(response=route.fetch(url=live.url + path))

        page.route("http://proxy.test/**", strip)
        page.goto("http://proxy.test/prefix/")
        assert predicted(page)
        context.close()
