// Makes the dashboard's pages livelier. Every page works without this file.
"use strict";

(() => {
  const LIVE_PAUSE_MS = 1000;
  const CHECK_PAUSE_MS = 350;
  const AGO_EVERY_MS = 20000;

  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const parse = (text) => new DOMParser().parseFromString(text, "text/html");
  const announce = (text) => {
    const region = document.getElementById("announcer");
    if (region) region.textContent = text;
  };

  // The session may have ended: the page that asks for a token is for the whole window.
  const isSignedOut = (response) => response.redirected && new URL(response.url).pathname === "/sign-in";

  // The answer to `request`, or null if it did not come or somebody has to sign in.
  async function ask(url, options = {}) {
    try {
      const response = await fetch(url, { credentials: "same-origin", ...options });
      if (isSignedOut(response)) {
        location.assign(response.url);
        return null;
      }
      return response;
    } catch {
      announce("The console does not answer. Try again.");
      return null;
    }
  }

  function bodyOf(form, submitter) {
    const body = new URLSearchParams();
    for (const [name, value] of new FormData(form, submitter)) body.append(name, value);
    return body;
  }

  // Parts of the page that change by themselves ------------------------------------------------

  const keyOf = (details) => details.id || details.dataset.key;

  function isBusy(part) {
    const active = document.activeElement;
    const isTyping = part.contains(active) && active.matches("input:not([type=checkbox]), textarea, select");
    const selection = document.getSelection();
    const isSelecting = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
    const isChoosing = part.querySelector("input[type=checkbox]:checked");
    return isTyping || isSelecting || isChoosing;
  }

  function replace(part, fresh) {
    if (part.innerHTML === fresh.innerHTML) return;
    const open = new Map(all("details", part).map((details) => [keyOf(details), details.open]));
    for (const details of all("details", fresh)) {
      if (keyOf(details) && open.has(keyOf(details))) details.open = open.get(keyOf(details));
    }
    const known = new Set(all("[data-row]", part).map((row) => row.dataset.row));
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    part.replaceWith(fresh);
    if (known.size) {
      for (const row of all("[data-row]", fresh)) {
        if (!known.has(row.dataset.row)) row.classList.add("fresh");
      }
    }
    if (focused) document.getElementById(focused)?.focus();
    refreshTimes();
  }

  let isRefreshing = false;
  async function refresh() {
    if (isRefreshing || document.hidden || !document.querySelector("[data-part]")) return;
    isRefreshing = true;
    const response = await ask(location.href);
    isRefreshing = false;
    if (!response || !response.ok) return;
    const page = parse(await response.text());
    for (const part of all("[data-part]")) {
      const fresh = page.getElementById(part.id);
      // What it waited for is there, on a page of another shape.
      if (!fresh && part.dataset.part === "reload") return location.reload();
      if (fresh && !isBusy(part)) replace(part, fresh);
    }
  }

  // Follows while somebody looks: browsers open few connections to one host, and hidden pages
  // would take them all.
  function follow() {
    const url = document.body.dataset.live;
    if (!url || !window.EventSource || !document.querySelector("[data-part]")) return;
    const lamp = document.getElementById("live");
    let source = null;
    let wait = null;
    const show = (isLive) => {
      lamp?.classList.toggle("on", isLive);
      if (lamp) lamp.textContent = isLive ? "Live" : "Not live";
    };
    const soon = () => {
      wait ??= setTimeout(() => {
        wait = null;
        refresh();
      }, LIVE_PAUSE_MS);
    };
    const close = () => {
      source?.close();
      source = null;
    };
    const open = () => {
      if (source || document.hidden) return;
      source = new EventSource(url);
      source.addEventListener("open", () => show(true));
      source.addEventListener("error", () => show(false));
      source.addEventListener("changed", soon);
      source.addEventListener("tick", soon);
      source.addEventListener("ended", () => {
        close();
        location.reload();
      });
    };
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return close();
      open();
      soon();
    });
    window.addEventListener("pagehide", close);
    window.addEventListener("pageshow", open);
    open();
  }

  // Times ---------------------------------------------------------------------------------------

  function ago(seconds) {
    const steps = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];
    const past = Math.abs(seconds);
    if (past < 3) return "just now";
    const [, unit, word] = steps.find(([below]) => past < below);
    const text = `${Math.floor(past / unit)} ${word}`;
    return seconds >= 0 ? `${text} ago` : `in ${text}`;
  }

  function refreshTimes() {
    const now = Date.now();
    for (const time of all("time[data-ago]")) {
      const at = new Date(time.dateTime);
      time.textContent = ago((now - at) / 1000);
      time.title = at.toLocaleString();
    }
  }

  function countDown() {
    for (const element of all("[data-until]")) {
      const left = Math.ceil((new Date(element.dataset.until) - Date.now()) / 1000);
      const minutes = Math.floor(left / 60);
      if (left <= 0) element.textContent = "now";
      else if (minutes >= 48 * 60) element.textContent = `${Math.floor(minutes / 1440)} days`;
      else if (minutes >= 60) element.textContent = `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
      else element.textContent = minutes ? `${minutes} min ${left % 60} s` : `${left} s`;
      if (left === 0) refresh();
    }
  }

  // The side panel --------------------------------------------------------------------------------

  let panel = null;
  let isTouched = false;

  function openPanel(page, url) {
    const main = page.querySelector("main");
    if (!main || !window.HTMLDialogElement) return location.assign(url);
    if (!panel) {
      panel = document.createElement("dialog");
      panel.className = "panel";
      panel.addEventListener("cancel", (event) => mayClose() || event.preventDefault());
      panel.addEventListener("close", () => {
        panel.remove();
        panel = null;
        isTouched = false;
      });
      panel.addEventListener("mousedown", (event) => {
        if (event.target === panel && mayClose()) panel.close();
      });
      document.body.append(panel);
    }
    const title = page.querySelector("h1")?.textContent ?? document.title;
    panel.setAttribute("aria-label", title);
    const frame = document.createElement("div");
    frame.className = "panel-frame";
    const bar = document.createElement("div");
    bar.className = "panel-bar";
    const heading = document.createElement("h2");
    heading.textContent = title;
    const full = document.createElement("a");
    full.className = "button quiet small";
    full.href = url;
    full.textContent = "Full page";
    full.addEventListener("click", () => (isTouched = false));
    const close = document.createElement("button");
    close.type = "button";
    close.className = "button small";
    close.textContent = "Close";
    close.addEventListener("click", () => mayClose() && panel.close());
    bar.append(heading, full, close);
    const body = document.createElement("div");
    body.className = "panel-body";
    body.append(...main.childNodes);
    frame.append(bar, body);
    panel.replaceChildren(frame);
    panel.dataset.url = url;
    if (!panel.open) panel.showModal();
    const first =
      body.querySelector("[aria-invalid=true]") ?? body.querySelector("[autofocus]") ??
      body.querySelector("input:not([type=hidden]), textarea, select, .button");
    first?.focus();
    wake(body);
  }

  function mayClose() {
    return !isTouched || window.confirm("Close without saving what you typed?");
  }

  async function openLink(link) {
    const response = await ask(link.href);
    if (!response) return;
    openPanel(parse(await response.text()), link.href);
  }

  async function submitInPanel(form, submitter) {
    const url = submitter?.formAction && submitter.hasAttribute("formaction") ? submitter.formAction : form.action;
    const method = form.method.toUpperCase();
    const body = bodyOf(form, submitter);
    // What is typed now would be lost when the answer comes.
    form.inert = true;
    const response = await ask(url, { method, body });
    form.inert = false;
    if (!response) return;
    isTouched = false;
    if (response.redirected) return location.assign(response.url);
    const page = parse(await response.text());
    if (!response.ok) isTouched = true;
    openPanel(page, panel?.dataset.url ?? url);
    if (response.ok) refresh();
    const errors = panel ? all("[aria-invalid=true]", panel).length : 0;
    if (errors) announce(errors === 1 ? "One field needs your attention." : `${errors} fields need your attention.`);
  }

  // Forms -----------------------------------------------------------------------------------------

  // Sends the form as it stands and takes parts of the answer over.
  async function swap(form, button) {
    const target = button.dataset.swap;
    button.setAttribute("aria-busy", "true");
    const response = await ask(button.formAction, { method: "POST", body: bodyOf(form, button) });
    button.removeAttribute("aria-busy");
    if (!response) return;
    const page = parse(await response.text());
    for (const id of target.split(" ")) {
      const old = document.getElementById(id);
      const fresh = page.getElementById(id);
      if (!old || !fresh) continue;
      const focus = button.dataset.focusLast;
      old.replaceWith(fresh);
      if (focus) all(focus, fresh).at(-1)?.focus();
      const status = fresh.querySelector("[role=status]");
      if (status) announce(status.textContent.trim());
    }
  }

  // Tells what is wrong while somebody types, and what would be sent.
  function watchForm(form) {
    const touched = new Set();
    let wait = null;
    let round = 0;
    async function check() {
      const own = ++round;
      const response = await ask(form.dataset.check, { method: "POST", body: bodyOf(form) });
      if (!response || !response.ok || own !== round) return;
      const answer = await response.json();
      for (const error of all(".error[data-pointer]", form)) {
        const pointer = error.dataset.pointer;
        const isShown = touched.has(pointer) || error.textContent.trim() !== "";
        const detail = isShown ? answer.errors[pointer] ?? "" : "";
        if (error.textContent.trim() !== detail) error.textContent = detail;
        const input = document.querySelector(`[aria-describedby~="${CSS.escape(error.id)}"]`);
        input?.setAttribute("aria-invalid", detail ? "true" : "false");
      }
      const preview = document.getElementById("preview");
      const fresh = parse(answer.preview).getElementById("preview");
      if (preview && fresh) preview.replaceWith(fresh);
    }
    form.addEventListener("input", (event) => {
      isTouched = panel?.contains(form) ?? false;
      for (const id of (event.target.getAttribute("aria-describedby") ?? "").split(" ")) {
        const pointer = document.getElementById(id)?.dataset.pointer;
        if (pointer) touched.add(pointer);
      }
      clearTimeout(wait);
      wait = setTimeout(check, CHECK_PAUSE_MS);
    });
  }

  function wake(root) {
    for (const form of all("form[data-check]", root)) watchForm(form);
    for (const box of all("[data-check-all]", root)) {
      box.closest("th")?.classList.remove("hidden");
      box.addEventListener("change", () => {
        for (const other of all(`input[name="${box.dataset.checkAll}"]`)) other.checked = box.checked;
      });
    }
    for (const element of all(".needs-script", root)) element.hidden = false;
    for (const pre of all("[data-replace-url]", root)) {
      if (!panel) history.replaceState(null, "", pre.dataset.replaceUrl);
    }
    refreshTimes();
    countDown();
  }

  document.addEventListener("submit", (event) => {
    const { target: form, submitter } = event;
    if (submitter?.dataset.swap) {
      event.preventDefault();
      swap(form, submitter);
    } else if (form.hasAttribute("data-quiet")) {
      event.preventDefault();
      const id = submitter?.id;
      ask(form.action, { method: "POST", body: bodyOf(form, submitter) }).then(async (response) => {
        if (!response) return;
        if (!response.ok) return location.assign(location.href);
        await refresh();
        if (id) document.getElementById(id)?.focus();
        announce(form.dataset.quiet);
      });
    } else if (panel?.contains(form) && form.method === "post") {
      event.preventDefault();
      submitInPanel(form, submitter);
    }
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-panel]");
    if (link && event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey) {
      event.preventDefault();
      openLink(link);
      return;
    }
    const cancel = event.target.closest("a[data-cancel]");
    if (cancel && panel) {
      event.preventDefault();
      if (mayClose()) panel.close();
      return;
    }
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const source = document.getElementById(copy.dataset.copy);
      const each = copy.dataset.copyEach;
      const parts = each ? all(each, source).map((part) => part.textContent) : null;
      const text = parts ? parts.join("\n") : source.value ?? source.textContent;
      const label = copy.textContent;
      navigator.clipboard.writeText(text).then(
        () => {
          copy.textContent = "Copied";
          announce("Copied");
          setTimeout(() => (copy.textContent = label), 1500);
        },
        () => source.select?.(),
      );
    }
  });

  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !isTyping && !panel && !event.ctrlKey && !event.metaKey) {
      const search = document.querySelector("input[type=search]");
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    }
    if (event.key === "Escape") {
      const open = document.querySelector("details.switcher[open]");
      if (open) {
        open.open = false;
        open.querySelector("summary").focus();
      }
    }
  });

  document.addEventListener("click", (event) => {
    for (const open of all("details.switcher[open]")) if (!open.contains(event.target)) open.open = false;
  });

  wake(document);
  follow();
  setInterval(refreshTimes, AGO_EVERY_MS);
  setInterval(countDown, 1000);
})();
