# SPDX-License-Identifier: Apache-2.0
"""The dashboard in a real browser (headless Chromium): what it shows, and that its buttons work."""
import json
import os
import re
import shutil
import tempfile
import urllib.request

import pytest
import conftest
from conftest import Backend, free_port, ok

selenium = pytest.importorskip("selenium")
from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="Chromium is not installed")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1300,1000")
HTTP = """http {{ upstream app {{ zone app 256k; server {a}; server {b} weight=3; }}
    upstream bare {{ zone bare 64k; }}
    server {{ listen 127.0.0.1:@PORT:web@; status_zone front; location / {{ proxy_pass http://app; }}
              location /gone {{ return 404; }} {more} }} }}"""


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tempfile.mkdtemp(prefix="remora-browser-")
    for flag in FLAGS + ("--user-data-dir=" + profile,):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service(DRIVER, log_path="/dev/null"), options=options)
    yield driver
    driver.quit()
    shutil.rmtree(profile, ignore_errors=True)


def wait_for(condition, *args):
    """As conftest's, for conditions about elements that may be drawn anew while they are looked at."""
    def settled():
        try:
            return condition()
        except StaleElementReferenceException:
            return False
    conftest.wait_for(settled, *args)


class Page:
    def __init__(self, browser, url):
        self.browser = browser
        browser.get_log("browser")
        browser.get(url)

    def all(self, css):
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def text(self, css):
        found = self.all(css)
        return found[0].text if found else ""

    def wait(self, css, pattern, seconds=15):
        wait_for(lambda: re.search(pattern, self.text(css)), f"{pattern} in {css}", seconds)

    def unfold(self, name):
        card = next(c for c in self.all("details.card") if c.get_attribute("data-name") == name)
        if not card.get_attribute("open"):
            card.find_element(By.TAG_NAME, "summary").click()
        wait_for(lambda: card.find_elements(By.CSS_SELECTOR, "tbody tr"), "the servers")
        return card

    def complaints(self, *expected):
        """What the browser's console has to say: refused loads, errors in the script."""
        return [e["message"] for e in self.browser.get_log("browser")
                if not any(x in e["message"] for x in expected)]


class Instance:
    def __init__(self, remora, admin="write on;", more=""):
        self.backends = [Backend(ok(b"x")) for _ in range(2)]
        self.port = free_port()
        admin = admin if "listen" in admin else f"listen 127.0.0.1:{self.port}; " + admin
        text = f"worker_processes 2; admin {{ {admin} listen unix:@DIR@/admin.sock; }} "
        self.server = remora(text.replace("@ADMIN@", str(self.port)) +
                             HTTP.format(a=self.backends[0].addr, b=self.backends[1].addr, more=more))
        self.url = f"http://127.0.0.1:{self.port}/"

    def get(self, path, token=None):
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {token}"} if token else {})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def server_of(self, number):
        return self.get("v1/http/upstreams/app")["servers"][number]


@pytest.fixture
def instance(remora):
    made = Instance(remora)
    yield made
    for backend in made.backends:
        backend.stop()


def test_what_it_shows(instance, browser):
    page = Page(browser, instance.url)
    page.wait("#state", "^serving$")
    assert [c.get_attribute("data-name") for c in page.all("details.card")] == ["app", "bare"]
    assert "2 up" in page.text("details.card[data-name=app] summary")
    assert "no servers" in page.text("details.card[data-name=bare] summary")
    for _ in range(8):
        assert instance.server.get("web", "/").status == 200
    instance.server.get("web", "/gone")
    page.wait("#zones", r"front")
    card = page.unfold("app")
    rows = card.find_elements(By.CSS_SELECTOR, "tbody tr")
    assert [r.find_elements(By.TAG_NAME, "td")[0].text for r in rows] == [b.addr for b in instance.backends]
    wait_for(lambda: "3xx 0, 4xx 1" in page.all("#classes .classes")[0].get_attribute("aria-label"), "the count of 404")
    page.wait("#classes-more", r"2xx 88\.8 %, 4xx 11\.1 %")
    assert page.text("#up") == "2" and page.text("#up-more") == "of 2 in 2 upstreams"
    assert browser.title == "remora " + instance.url[7:-1]
    assert page.complaints() == []


def test_buttons(instance, browser):
    page = Page(browser, instance.url)
    page.wait("#state", "^serving$")
    page.unfold("app")

    def button(label):
        row = page.all("details[data-name=app] tbody tr")[0]
        return next((b for b in row.find_elements(By.TAG_NAME, "button")
                     if b.text == label and b.accessible_name == f"{label} {instance.backends[0].addr}"), None)

    def press(label):
        wait_for(lambda: button(label), label)
        button(label).click()

    press("Drain")
    wait_for(lambda: instance.server_of(0).get("drain") is True, "drain")
    page.wait("details[data-name=app] tbody tr", "draining")
    press("Down")
    page.wait("#ask", "Down " + re.escape(instance.backends[0].addr))
    page.all("#ask button[value=no]")[0].click()
    assert instance.server_of(0)["down"] is False
    press("Down")
    page.all("#ask button[value=yes]")[0].click()
    wait_for(lambda: instance.server_of(0)["down"] is True, "down")
    page.wait("details[data-name=app] tbody tr", "down")
    press("Up")
    wait_for(lambda: instance.server_of(0)["state"] == "up", "up")
    page.wait("#events", r"revision \d+")
    assert page.complaints() == []


def test_changes_of_others_show_at_once(instance, browser):
    page = Page(browser, instance.url)
    page.wait("#state", "^serving$")
    page.unfold("app")
    body = json.dumps([{"server": "127.0.0.1:9", "weight": 7}]).encode()
    request = urllib.request.Request(instance.url + "v1/http/upstreams/app/servers", body, method="PUT",
                                     headers={"Content-Type": "application/json"})
    revision = json.load(urllib.request.urlopen(request))["revision"]
    page.wait("#revision", f"^{revision}$")
    page.wait("#events", f"revision {revision}")
    page.wait("details[data-name=app] tbody", r"127\.0\.0\.1:9\b")
    assert len(page.all("details[data-name=app] tbody tr")) == 1


def test_the_filter(instance, browser):
    page = Page(browser, instance.url)
    page.wait("#state", "^serving$")
    page.all("#filter")[0].send_keys("bar")
    wait_for(lambda: [c.get_attribute("data-name") for c in page.all("details.card")] == ["bare"], "one upstream")
    page.all("#filter")[0].clear()
    page.all("#filter")[0].send_keys("zzz")
    page.wait("#upstreams", "Nothing matches")


def test_the_filter_finds_servers(instance, browser):
    """Of upstreams that are folded, too; what does not match is hidden, be it unfolded or not."""
    page = Page(browser, instance.url)
    page.wait("#state", "^serving$")
    page.unfold("app")
    body = json.dumps([{"server": "127.0.0.1:9"}]).encode()
    urllib.request.urlopen(urllib.request.Request(instance.url + "v1/http/upstreams/bare/servers", body, method="PUT",
                                                  headers={"Content-Type": "application/json"})).close()
    page.all("#filter")[0].send_keys("127.0.0.1:9")
    wait_for(lambda: "bare" in [c.get_attribute("data-name") for c in page.all("details.card")], "the upstream of that server")
    page.all("#filter")[0].clear()
    page.all("#filter")[0].send_keys(instance.backends[1].addr)
    wait_for(lambda: [c.get_attribute("data-name") for c in page.all("details.card")] == ["app"], "one upstream")
    wait_for(lambda: len(page.all("details[data-name=app] tbody tr")) == 1, "one server")
    page.all("#filter")[0].clear()
    page.all("#filter")[0].send_keys("bare")
    wait_for(lambda: [c.get_attribute("data-name") for c in page.all("details.card")] == ["bare"], "the other one")


def test_more_upstreams_than_can_be_shown(remora, browser):
    """Those that are not well come first, the others are for the filter to find."""
    dead = free_port()
    r = remora("admin { listen 127.0.0.1:@PORT:admin@; } http { %s server { listen 127.0.0.1:@PORT:web@; } }" % "".join(
        f"upstream u{n} {{ zone u{n} 32k; server 127.0.0.1:{dead}{' down' if n == 149 else ''}; }} " for n in range(150)))
    page = Page(browser, f"http://127.0.0.1:{r.port('admin')}/")
    page.wait("#upstreams-more", "^and 50 more: use the filter$")
    names = [c.get_attribute("data-name") for c in page.all("details.card")]
    assert names == ["u149"] + [f"u{n}" for n in range(99)]
    page.all("#filter")[0].send_keys("u12")
    wait_for(lambda: page.text("#upstreams-more") == "", "fewer")
    assert [c.get_attribute("data-name") for c in page.all("details.card")] == ["u12"] + [f"u12{n}" for n in range(10)]


def test_what_happened_before(remora, browser):
    """Checks that failed before the page was opened are told of in their place."""
    made = Instance(remora, more="location /c { proxy_pass http://bare; health_check interval=1s; }")
    dead = json.dumps([{"server": f"127.0.0.1:{free_port()}"}]).encode()
    urllib.request.urlopen(urllib.request.Request(made.url + "v1/http/upstreams/bare/servers", dead, method="PUT",
                                                  headers={"Content-Type": "application/json"})).close()
    wait_for(lambda: made.get("v1/http/upstreams/bare")["servers"][0]["state"] == "unhealthy", "unhealthy")
    page = Page(browser, made.url)
    page.wait("#events", "of bare is unhealthy: connecting to upstream")
    assert "added 127.0.0.1:" in page.text("#events")
    page.wait("#up-more", "1 unhealthy")
    for backend in made.backends:
        backend.stop()


def test_a_refused_change_stays_to_be_read(instance, browser):
    page = Page(browser, instance.url)
    page.wait("#state", "^serving$")
    page.unfold("app")
    browser.execute_script("trouble(new Refused(412, 'too late'), 'Down x: ')")
    before = browser.execute_script("return last.at")
    wait_for(lambda: browser.execute_script("return last.at") > before, "another look")
    assert page.text("#trouble") == "Down x: too late"


def test_no_answer(instance, browser):
    page = Page(browser, instance.url)
    page.wait("#state", "^serving$")
    instance.server.stop()
    page.wait("#state", "^no answer$")
    page.wait("#trouble", r"does not answer\. Figures are of ")
    assert page.all("body.stale") != []


def test_where_nothing_may_be_changed(remora, browser):
    made = Instance(remora, "write off;")
    page = Page(browser, made.url)
    page.wait("#who", r"loopback \(read only\)")
    page.unfold("app")
    assert page.all("details[data-name=app] tbody button") == []
    for backend in made.backends:
        backend.stop()


@pytest.fixture
def secrets():
    """A directory for tokens that the agent, which is nobody when root runs the tests, may look into."""
    path = tempfile.mkdtemp(prefix="remora-secrets-")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


def write_secret(directory, name, text):
    path = f"{directory}/{name}"
    with open(path, "w") as f:
        f.write(text + "\n")
    os.chmod(path, 0o600)
    if os.getuid() == 0:
        shutil.chown(path, "nobody")
    return path


def sign_in(browser, instance, token):
    page = Page(browser, instance.url)
    wait_for(lambda: page.all("#login")[0].is_displayed(), "the question for a token")
    page.all("#token")[0].send_keys(token)
    page.all("#login button")[0].click()
    return page


def test_a_token_is_asked_for(remora, browser, secrets):
    secret = write_secret(secrets, "boss", "s3cret-token-0123456789")
    viewer = write_secret(secrets, "eye", "viewer-token-0123456789")
    made = Instance(remora, f"write on; token boss write {secret}; token eye read {viewer};")
    page = sign_in(browser, made, "no-such-token-0123456789")
    page.wait("#login-trouble", "not accepted")
    assert page.text("#state") == "signed out" and page.all("#token")[0].get_attribute("value") == ""
    page = sign_in(browser, made, "viewer-token-0123456789")
    page.wait("#who", r"token:eye \(read\)")
    page.unfold("app")
    assert page.all("details[data-name=app] tbody button") == []
    page.all("#leave")[0].click()
    page.wait("#state", "^signed out$")
    assert browser.execute_script("return sessionStorage.length") == 0
    page = sign_in(browser, made, "s3cret-token-0123456789")
    page.wait("#who", r"token:boss \(write\)")
    page.unfold("app")
    assert len(page.all("details[data-name=app] tbody button")) == 4
    browser.execute_script("sessionStorage.clear()")
    for backend in made.backends:
        backend.stop()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(instance, browser, scheme):
    """Every text stands out from what is behind it (WCAG AA: 4.5 to 1), in both colour schemes."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    page = Page(browser, instance.url)
    page.wait("#state", "^serving$")
    page.unfold("app")
    bad = browser.execute_script("""
        const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
        const lum = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255;
            return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const back = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
            if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
        const bad = [];
        for (const e of document.querySelectorAll("body *")) {
            if (!e.offsetParent || ![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
            const a = lum(rgb(getComputedStyle(e).color)), b = lum(back(e));
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (ratio < 4.5) bad.push(e.tagName + "." + e.className + " " + e.textContent.slice(0, 20) + " " + ratio.toFixed(2));
        }
        return bad;""")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert bad == []


def test_on_a_phone(instance, browser):
    """Nothing sticks out sideways, and what is to be pressed can be hit."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True})
    try:
        page = Page(browser, instance.url)
        page.wait("#state", "^serving$")
        page.unfold("app")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
        assert browser.execute_script("return [...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth).length") == 0
        heights = [b.size["height"] for b in page.all("details[data-name=app] tbody button")]
        assert len(heights) == 4 and min(heights) >= 30
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_names_are_text(remora, browser):
    """Whatever a name holds, it never becomes markup."""
    made = Instance(remora)
    name = "<img src=x onerror=document.title='bad'>"
    body = json.dumps({"upstreams": {"app": [{"server": "127.0.0.1:9", "route": "x"}]}}).encode()
    request = urllib.request.Request(made.url + "v1/transactions", body, method="POST",
                                     headers={"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()
    page = Page(browser, made.url)
    page.wait("#state", "^serving$")
    page.wait("#events", "revision 2")
    browser.execute_script("add_event('revision', {revision: 1, causes: [{what: arguments[0], who: arguments[0]}]})", name)
    assert name in page.text("#events")
    assert page.all("#events img") == [] and "bad" not in browser.title
    for backend in made.backends:
        backend.stop()


def test_headers_of_the_page(instance):
    with urllib.request.urlopen(instance.url) as answer:
        page = answer.read().decode()
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "@STYLE@" not in page and "@SCRIPT@" not in page and len(page) < 64000
