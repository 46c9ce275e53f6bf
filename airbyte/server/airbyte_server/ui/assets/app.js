// What scripts add to pages that work without: numbers that are up to date, filters that apply themselves, buttons that
// say they are busy.
"use strict";

document.documentElement.classList.add("scripted");

/** Look again after as many seconds as the page says: one while a job runs, else ten, as others start jobs, too. */
function wait() {
  const seconds = document.getElementById("live")?.dataset.live;
  if (seconds) setTimeout(refresh, 1000 * seconds);
}

/** Put what the server says now into the page, keeping what the reader has opened, focused and scrolled. */
async function refresh() {
  const live = document.getElementById("live");
  if (document.hidden) return void wait();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    // To the sign-in page: the session is over.
    if (answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = page.getElementById("live");
    if (answer.ok && next) {
      replace(live, next);
      document.title = page.title;
    }
  } catch {
    // The server is away for a moment, or the reader has left; the next look will tell.
  }
  wait();
}

function replace(live, next) {
  const focused = live.contains(document.activeElement) ? document.activeElement : null;
  // Typing into a field or choosing from a menu must not be disturbed.
  if (focused && focused.matches("input, select")) return;
  const open = new Set([...live.querySelectorAll("details[open][id]")].map((one) => one.id));
  for (const one of next.querySelectorAll("details[id]")) one.open ||= open.has(one.id);
  const place = focused && path(live, focused);
  const scrolled = live.querySelector(".log");
  const top = scrolled && scrolled.scrollTop;
  const atEnd = scrolled && scrolled.scrollHeight - scrolled.scrollTop - scrolled.clientHeight < 20;
  live.replaceWith(next);
  for (const form of next.querySelectorAll("form[data-auto]")) apply(form);
  const log = next.querySelector(".log");
  if (log && scrolled) log.scrollTop = atEnd ? log.scrollHeight : top;
  if (place) follow(next, place)?.focus({ preventScroll: true });
}

/** Where an element is below another, as positions among siblings. */
function path(top, element) {
  const steps = [];
  for (let one = element; one !== top; one = one.parentElement) steps.unshift([...one.parentElement.children].indexOf(one));
  return steps;
}

function follow(top, steps) {
  return steps.reduce((one, step) => one && one.children[step], top);
}

/** Let a form of filters apply itself. */
function apply(form) {
  for (const field of form.querySelectorAll("select")) field.addEventListener("change", () => form.requestSubmit());
}

document.querySelectorAll("form[data-auto]").forEach(apply);

addEventListener("submit", (event) => {
  const form = event.target;
  const text = form.dataset.busy;
  const button = form.querySelector("button:not([type=button])");
  if (text && button) {
    button.textContent = text;
    // After the form is sent: a disabled button would stop it.
    setTimeout(() => (button.disabled = true));
  }
});

addEventListener("click", (event) => {
  const back = event.target.closest("[data-back]");
  if (back && history.length > 1) {
    event.preventDefault();
    history.back();
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

wait();
