#!/usr/bin/env python3
"""Uses the page of a running `stamp serve` as a person does who has a keyboard only, and looks at it at a phone's width.

Usage: page_test.py URL [--screenshots FOLDER] [--message TEXT] [--tokens N] [--temperature T] [--prompt TEXT] [--steps 4]

The server has a chat template and draws pictures. Needs Chromium; without it says so and ends with 0. Standard library only.
"""
import argparse
import os
import sys

from browser import Browser, find_chromium

WIDE, PHONE = (1000, 700), (360, 640)
STARTED = "document.getElementById('facts').textContent.includes('recipe')"
QUIET = "document.getElementById('send').disabled === false"
OUTLINE = "(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2)(getComputedStyle(document.activeElement))"
# What sticks out of the window, or is too small for a finger.
MISPLACED = """[...document.querySelectorAll('button, input, textarea, #facts, #log, #stage, .turn, .pair img')]
  .filter(e => e.offsetParent && (r => r.left < 0 || r.right > innerWidth || r.bottom > innerHeight && !e.closest('#log, #stage')
    || /BUTTON|INPUT|TEXTAREA/.test(e.tagName) && r.height < 36)(e.getBoundingClientRect())).map(e => e.id || e.className)"""


def ok(what, condition=True, shown=""):
    assert condition, f"{what}: {shown}"
    print(f"ok: {what}")


def text(browser, element):
    return browser.evaluate(f"document.getElementById('{element}').textContent")


def tab_to(browser, wanted, most=12):
    for _ in range(most):
        if browser.focused()[0] == wanted:
            return
        browser.press("Tab")
    raise AssertionError(f"Tab does not get to '{wanted}'")


def check_order(browser, wanted):
    """Goes forwards through `wanted`; every stop has a name, and shows that it has the focus."""
    tab_to(browser, wanted[0])
    for element in wanted:
        found, name, role = browser.focused()
        assert found == element, f"expected Tab to reach {wanted} in this order, got '{found}' for '{element}'"
        assert name and role != "generic", f"'{element}' is nameless for a screen reader: {name!r}, {role!r}"
        assert browser.evaluate(OUTLINE), f"'{element}' does not show that it has the focus"
        browser.press("Tab")
    ok("Tab order: " + ", ".join(wanted))


def check_chat(browser, message):
    ok("the page starts in the message", browser.focused() == ("text", "Message", "textbox"), browser.focused())
    browser.evaluate("""void (window.lengths = new Set(), new MutationObserver(() => lengths.add(
        [...document.querySelectorAll('.assistant')].map(turn => turn.textContent.length).join())).observe(document.getElementById('log'),
        {childList: true, subtree: true, characterData: true}))""")
    browser.type(message)
    browser.press("Enter")
    browser.wait("document.querySelectorAll('.assistant').length === 1 && document.querySelector('.assistant').textContent.length > 0")
    browser.wait(QUIET)
    pieces = browser.evaluate("lengths.size")
    ok("the answer comes in pieces", pieces > 3, f"{pieces} lengths seen")
    ok("the answer is read aloud when it is whole", browser.evaluate(
        "(l => l.getAttribute('role') === 'log' && l.getAttribute('aria-live') === 'polite' && l.getAttribute('aria-busy') === 'false')"
        "(document.getElementById('log'))"))
    ok("speed of the answer", " tokens/s" in browser.evaluate("document.querySelector('.note').textContent"))
    browser.wait("document.getElementById('facts').textContent.includes('tokens/s')")
    facts = text(browser, "facts")
    ok("recipe, speed and memory: " + facts, all(part in facts for part in ("recipe", "tokens/s", "memory", "K/V")))
    ok("the focus stays in the message", browser.focused()[0] == "text", browser.focused())


def check_escape(browser):
    """Escape ends an answer, and the server stops computing it; Shift+Enter only breaks the line."""
    browser.type("The kernel")
    browser.press("Enter", shift=True)
    ok("Shift+Enter breaks the line", browser.evaluate("document.querySelectorAll('.user').length") == 1)
    browser.evaluate("void (window.stopped = new Promise(r => new MutationObserver((_, o) => { const t = document.querySelectorAll("
                     "'.assistant'); if (t.length === 2 && t[1].textContent) { o.disconnect(); r(); } }).observe("
                     "document.getElementById('log'), {childList: true, subtree: true})))")
    browser.press("Enter")
    browser.evaluate("stopped")
    browser.press("Escape")
    browser.wait(QUIET)
    ok("Escape stops an answer", browser.evaluate("[...document.querySelectorAll('.note')].some(n => n.textContent === 'stopped')"))
    browser.wait("fetch('metrics').then(a => a.text()).then(t => /^stamp_sequences_running 0$/m.test(t))")
    ok("and the server computes it no more")


def check_error(browser):
    browser.evaluate("void (document.getElementById('temperature').value = 99)")
    browser.evaluate("document.getElementById('ask').noValidate = true")
    count = browser.evaluate("messages.length")
    browser.type("x")
    browser.press("Enter")
    browser.wait("document.querySelector('.error[role=alert]') !== null")
    ok("an error is announced", "temperature" in browser.evaluate("document.querySelector('.error').textContent"))
    ok("and leaves the conversation as it was", browser.evaluate("messages.length") == count)
    browser.problems.clear()  # the browser notes the status 400
    browser.evaluate("void (document.getElementById('temperature').value = '', document.querySelector('.error').remove(), "
                     "[...document.querySelectorAll('.user')].pop().remove())")


def check_pictures(browser, prompt, steps):
    tab_to(browser, "tab-chat")
    browser.press("ArrowRight")
    ok("an arrow changes to the pictures", browser.focused()[0] == "tab-draw" and not browser.evaluate("document.getElementById('draw').hidden"))
    ok("the recipe of the pictures", "recipe" in text(browser, "facts") and browser.evaluate("painter.id") in text(browser, "facts"))
    check_order(browser, ["stage", "prompt", "steps", "seed", "paint-now"])
    browser.evaluate(f"void (document.getElementById('steps').value = {steps})")
    for seed in (1, 2):
        browser.evaluate(f"void (document.getElementById('seed').value = {seed}, document.getElementById('prompt').value = '')")
        browser.evaluate("document.getElementById('prompt').focus()")
        browser.type(prompt)
        browser.press("Enter")
        browser.wait(f"document.querySelectorAll('.pair img').length === {seed} && !document.getElementById('paint-now').disabled")
    browser.wait("[...document.querySelectorAll('.pair img')].every(i => i.complete && i.naturalWidth > 0 && i.alt)")
    ok("two pictures lie over each other", browser.evaluate(
        "(([a, b]) => a.left === b.left && a.top === b.top && a.width === b.width && a.height === b.height)"
        "([...document.querySelectorAll('.pair img')].map(i => i.getBoundingClientRect()))"))
    ok("what was drawn is announced", "seed 1" in text(browser, "drawn") and "seed 2" in text(browser, "drawn"), text(browser, "drawn"))
    browser.evaluate("document.getElementById('stage').focus()")
    browser.press("Tab")
    found, name, role = browser.focused()
    ok("the slider has the next place and a name", (found, role) == ("slide", "slider") and name, (found, name, role))
    cut = "document.querySelector('.pair').lastChild.style.clipPath"
    before = browser.evaluate(cut)
    browser.press("ArrowRight")
    ok("an arrow moves it", before != browser.evaluate(cut), before)
    browser.press("Home")
    ok("Home shows the later picture whole", "0%" in browser.evaluate(cut) and browser.evaluate("slide.value") == "0")
    browser.evaluate("void (slide.value = 50, slide.dispatchEvent(new Event('input')))")
    check_slider(browser)


def check_slider(browser):
    hidden = browser.evaluate("slide.getBoundingClientRect().bottom - stage.getBoundingClientRect().bottom")
    ok("the slider is in sight", hidden <= 0, f"{hidden} pixels below the edge")


def check_phone(browser, what):
    browser.resize(*PHONE)
    browser.wait(f"innerWidth === {PHONE[0]}")
    ok(f"{what} fits {PHONE[0]} pixels", browser.evaluate("document.documentElement.scrollWidth <= innerWidth"))
    misplaced = browser.evaluate(MISPLACED)
    ok(f"{what}: nothing is cut off or too small for a finger", not misplaced, misplaced)
    room = browser.evaluate("Math.max(...['log', 'stage'].map(i => document.getElementById(i).clientHeight))")
    ok(f"{what}: {room} pixels for the content", room >= 240)


def check(browser, options):
    def picture(name):
        if options.screenshots:
            browser.screenshot(os.path.join(options.screenshots, name + ".png"))

    browser.open(options.url, *WIDE)
    browser.wait(STARTED)
    for field in ("tokens", "temperature"):
        if value := getattr(options, field):
            browser.evaluate(f"void (document.getElementById('{field}').value = {value})")
    check_chat(browser, options.message)
    picture("chat-wide")
    check_phone(browser, "the conversation")
    picture("chat-phone")
    browser.resize(*WIDE)
    check_order(browser, ["text", "send", "clear", "tokens", "temperature"])
    check_order(browser, ["tab-chat", "log", "text"])
    browser.evaluate("document.getElementById('text').focus()")
    check_escape(browser)
    check_error(browser)
    check_pictures(browser, options.prompt, options.steps)
    picture("pictures-wide")
    check_phone(browser, "the pictures")
    check_slider(browser)
    picture("pictures-phone")
    ok("no errors of scripts", not browser.problems, browser.problems)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--screenshots")
    parser.add_argument("--message", default="What is a kernel?")
    parser.add_argument("--tokens", type=int)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--prompt", default="a red ball")
    parser.add_argument("--steps", type=int, default=4)
    options = parser.parse_args()
    program = find_chromium()
    if program is None:
        print("page tests not run: there is no chromium (Debian: apt-get install chromium)")
        return
    browser = Browser(program)
    try:
        check(browser, options)
    except AssertionError as error:
        sys.exit(f"page: {error}")
    finally:
        browser.close()


if __name__ == "__main__":
    main()
