// Keeps the page fresh: when the daemon has news, the same page is fetched and its content put in place. Without this
// the page is whole, only not fresh.
"use strict";
(() => {
  const SILENT = "The daemon does not answer; what is shown is old.";
  const AGAIN = 3000;
  let shown = document.body.dataset.sequence;
  let hasNews = false;
  let busy = false;
  let events = null;

  // What somebody writes or has marked is not taken from under his hands.
  const isInUse = () => {
    const at = document.activeElement;
    const isWriting = at && /^(INPUT|TEXTAREA)$/.test(at.tagName) && at.value !== at.defaultValue;
    return isWriting || !(document.getSelection()?.isCollapsed ?? true);
  };

  // News that comes while a page is fetched is fetched after it.
  async function refresh() {
    if (busy) return;
    busy = true;
    try {
      while (hasNews && !document.hidden && !isInUse()) {
        hasNews = false;
        const answer = await fetch(location.href, { headers: { accept: "text/html" } });
        // The token has changed, or its proof is too old.
        if (answer.redirected) { location.reload(); return; }
        if (answer.ok || answer.status === 404) put(await answer.text());
      }
    } catch {
      hasNews = true;
      say(SILENT);
      setTimeout(refresh, AGAIN);
    } finally {
      busy = false;
    }
  }

  function put(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const focused = document.activeElement?.id;
    const open = new Set([...document.querySelectorAll("details[open][id]")].map((one) => one.id));
    for (const name of ["header", "main", "footer"]) {
      const [old, now] = [document.querySelector(name), fresh.querySelector(name)];
      if (!old || !now) continue;
      for (const one of now.querySelectorAll("details[id]")) one.open = open.has(one.id) || one.open;
      if (old.innerHTML !== now.innerHTML) old.replaceWith(now);
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    document.title = fresh.title;
    shown = fresh.body.dataset.sequence;
    say("Live");
  }

  function say(words) {
    const place = document.getElementById("live");
    if (!place) return;
    if (place.textContent !== words) place.textContent = words;
    place.classList.toggle("is-live", words === "Live");
  }

  // A page that nobody looks at keeps no connection: browsers have few of them for all their tabs together.
  function listen() {
    if (events || document.hidden) return;
    events = new EventSource("/events");
    events.addEventListener("open", () => say("Live"));
    events.addEventListener("snapshot", (event) => {
      if (event.data === shown) return;
      hasNews = true;
      refresh();
    });
    events.addEventListener("error", () => {
      say(SILENT);
      // Refused, not only cut off: the browser would not try again.
      if (events?.readyState === EventSource.CLOSED) {
        leave();
        hasNews = true;
        setTimeout(() => { refresh(); listen(); }, AGAIN);
      }
    });
  }

  function leave() {
    events?.close();
    events = null;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { leave(); } else if ("live" in document.body.dataset) { listen(); refresh(); }
  });
  document.addEventListener("selectionchange", () => { if (hasNews) refresh(); });
  document.addEventListener("focusout", () => setTimeout(refresh));
  document.addEventListener("keydown", (event) => {
    const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      const box = document.getElementById("where");
      if (box) { box.focus(); box.select(); } else { location.href = "/devices#where"; }
    }
  });
  if ("live" in document.body.dataset) listen();
})();
