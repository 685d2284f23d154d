// What the pages do beyond links and forms. Everything works without it; the nonce, not this file, makes one press one run.
(() => {
  "use strict";

  // One press, one request: a second submit of a form that is on its way is dropped.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !("ocOnce" in form.dataset)) return;
    if (form.dataset.ocSent) {
      event.preventDefault();
      return;
    }
    form.dataset.ocSent = "yes";
    const button = event.submitter ?? form.querySelector("[data-oc-sending]");
    if (!button?.dataset.ocSending) return;
    setTimeout(() => {
      button.disabled = true;
      const word = button.querySelector("span:last-child");
      button.dataset.ocWord = word.textContent;
      word.textContent = button.dataset.ocSending;
    }, 0);
  });

  // The browser's back button brings the page as it was left: the form may be sent again.
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("[data-oc-sent]")) {
      delete form.dataset.ocSent;
      for (const button of form.querySelectorAll("[data-oc-word]")) {
        button.disabled = false;
        button.querySelector("span:last-child").textContent = button.dataset.ocWord;
      }
    }
  });

  document.addEventListener("change", (event) => {
    if (event.target instanceof HTMLSelectElement && "ocSend" in event.target.dataset) event.target.form.requestSubmit();
  });

  // A list of time zones begins with that of this browser.
  for (const list of document.querySelectorAll("[data-oc-zones]")) {
    const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const option = [...list.options].find(({ value }) => value === here);
    if (!option || option.selected) continue;
    const group = document.createElement("optgroup");
    group.label = list.dataset.ocZones;
    group.append(option);
    list.prepend(group);
  }

  // What Unfold scrolls is named by what it holds, not all of it alike; simplebar reads the name when it begins.
  const SCROLLED = { "#nav-sidebar-apps": "Pages", "#changelist-filter [data-simplebar]": "Filters" };
  document.addEventListener("DOMContentLoaded", () => {
    for (const part of document.querySelectorAll("[data-simplebar]")) {
      const [, name] = Object.entries(SCROLLED).find(([which]) => part.matches(which)) ?? [];
      if (name) part.dataset.simplebarAriaLabel = name;
    }
  });

  // Django's own lists that are filtered by typing name a bare icon; they are made when the page has loaded.
  window.addEventListener("load", () => setTimeout(() => {
    for (const icon of document.querySelectorAll(".help-tooltip[aria-label]")) icon.setAttribute("role", "img");
  }, 0));

  const COPIES = "[data-oc-copy], [data-oc-copy-from]";
  document.addEventListener("click", async (event) => {
    const button = event.target instanceof Element && event.target.closest(COPIES);
    if (!button) return;
    const icon = button.querySelector(".oc-icon");
    const label = (button.dataset.ocLabel ??= button.getAttribute("aria-label"));
    try {
      const from = button.dataset.ocCopyFrom && document.getElementById(button.dataset.ocCopyFrom);
      await navigator.clipboard.writeText(from ? from.textContent : button.dataset.ocCopy);
      icon.textContent = "check";
      button.setAttribute("aria-label", "Copied");
    } catch {
      icon.textContent = "error";
      button.setAttribute("aria-label", "Could not be copied");
    }
    setTimeout(() => {
      icon.textContent = "content_copy";
      button.setAttribute("aria-label", label);
    }, 1500);
  });

  const showCopyButtons = () => {
    if (!navigator.clipboard) return; // absent on plain HTTP: better no button than one that fails
    for (const button of document.querySelectorAll(COPIES)) button.hidden = false;
  };

  // "Live · read 12 s ago"; a page that nobody has refreshed for 30 s is not live any more.
  let readAt = Date.now();
  const LIVE_SECONDS = 30;
  const words = (seconds) => {
    if (seconds < 2) return "read now";
    if (seconds < 60) return `read ${seconds} s ago`;
    return seconds < 3600 ? `read ${Math.floor(seconds / 60)} min ago` : `read ${Math.floor(seconds / 3600)} h ago`;
  };
  const POLLS = "[data-oc-poll][hx-get], #oc-run[hx-get]";
  const tellAge = () => {
    const live = document.getElementById("oc-live");
    if (!live || live.dataset.ocLive !== "on") return;
    const seconds = Math.floor((Date.now() - readAt) / 1000);
    const still = !document.querySelector(POLLS);
    live.classList.toggle("oc-live--still", still);
    if (still) {
      live.classList.remove("oc-live--on", "oc-live--off");
      live.querySelector("[data-oc-live-word]").textContent = "";
      live.querySelector("[data-oc-live-age]").textContent = words(seconds).replace("read", "Read");
      return;
    }
    const fresh = seconds <= LIVE_SECONDS;
    live.classList.toggle("oc-live--on", fresh);
    live.classList.toggle("oc-live--off", !fresh);
    live.querySelector("[data-oc-live-word]").textContent = fresh ? "Live" : "Not live";
    live.querySelector("[data-oc-live-age]").textContent = ` · ${words(seconds)}`;
  };
  setInterval(tellAge, 1000);
  document.addEventListener("DOMContentLoaded", tellAge);

  // The poll of a run waits while nobody looks, and while text on it is selected.
  const PARTS = "[data-oc-part]";
  const isBusy = () => {
    const chosen = document.getSelection();
    const within = chosen?.anchorNode instanceof Element ? chosen.anchorNode : chosen?.anchorNode?.parentElement;
    return document.hidden || (within && !chosen.isCollapsed && within.closest(PARTS) !== null);
  };
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id === "oc-run" && isBusy()) event.preventDefault();
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.matches?.("[data-oc-poll]") && isBusy()) event.preventDefault();
  });
  document.addEventListener("htmx:afterSwap", () => {
    if (document.querySelector("[data-oc-poll]")) readAt = Date.now();
  });

  // What a part of the page held before it was replaced: its unfolded details, and where the keyboard was.
  const kept = new Map();
  const focusables = (part) => [...part.querySelectorAll("a[href], button, summary, [tabindex]")];
  const keep = (event) => {
    const part = event.detail.target;
    if (!part?.matches?.(PARTS)) return;
    const open = [...part.querySelectorAll("details[open][data-oc-keep]")].map((one) => one.dataset.ocKeep);
    kept.set(part.id, { open, focus: focusables(part).indexOf(document.activeElement) });
  };
  const restore = (event) => {
    const id = event.detail.target?.id;
    const part = document.getElementById(id);
    if (!part || !kept.has(id)) return;
    const { open, focus } = kept.get(id);
    kept.delete(id);
    for (const one of part.querySelectorAll("details[data-oc-keep]")) one.open = open.includes(one.dataset.ocKeep);
    if (focus >= 0) focusables(part)[focus]?.focus({ preventScroll: true });
  };
  for (const swap of ["htmx:beforeSwap", "htmx:oobBeforeSwap"]) document.addEventListener(swap, keep);
  for (const swap of ["htmx:afterSwap", "htmx:oobAfterSwap"]) document.addEventListener(swap, restore);

  // A form that was refused stands at its first wrong field: the browser itself gives up, as Unfold draws the page late.
  document.addEventListener("DOMContentLoaded", () => document.querySelector("#oc-start [autofocus]")?.focus());

  // What a form kept for the case that its sender was signed out (typed.js) is over on any page but it and sign-in.
  document.addEventListener("DOMContentLoaded", () => {
    if (!document.querySelector("#oc-start, #login-form")) sessionStorage.removeItem("oc.typed");
  });

  let state = null;
  document.addEventListener("DOMContentLoaded", () => {
    state = document.getElementById("oc-run")?.dataset.ocState ?? null;
    showCopyButtons();
  });
  document.addEventListener("htmx:afterSwap", () => {
    const run = document.getElementById("oc-run");
    if (!run) return;
    readAt = Date.now();
    showCopyButtons();
    if (run.dataset.ocState === state) return;
    state = run.dataset.ocState;
    document.title = run.dataset.ocTitle;
    const said = document.querySelector("[data-oc-said]");
    if (said) said.textContent = run.dataset.ocTitle;
  });

  // --- The log of a run ---
  // It follows its end unless the reader has scrolled up or paused it; no more lines stay than are kept.
  const logCard = () => document.getElementById("oc-log-card");
  const toEnd = () => {
    const log = document.getElementById("oc-log");
    if (log && logCard().hasAttribute("data-oc-following")) log.scrollTop = log.scrollHeight;
  };
  let atEnd = true;
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id === "oc-log-more" && (document.hidden || logCard()?.dataset.ocPaused)) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target?.id !== "oc-log-more") return;
    const log = document.getElementById("oc-log");
    atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target?.id !== "oc-log-more") return;
    const log = document.getElementById("oc-log");
    const lines = log.querySelectorAll("p.oc-log__line");
    if (lines.length) document.getElementById("oc-log-empty")?.remove();
    const chosen = document.getSelection();
    const reading = !atEnd || (chosen && !chosen.isCollapsed && log.contains(chosen.anchorNode));
    if (reading) return; // what one reads must not move
    for (const line of [...lines].slice(0, -Number(logCard().dataset.ocLines))) line.remove();
    log.scrollTop = log.scrollHeight;
  });
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-oc-pause]");
    if (!button) return;
    const paused = !logCard().dataset.ocPaused;
    if (paused) logCard().dataset.ocPaused = "yes";
    else delete logCard().dataset.ocPaused;
    const label = paused ? "Follow the log again" : "Pause the log";
    button.setAttribute("aria-pressed", String(paused));
    button.setAttribute("aria-label", label);
    button.title = label;
    button.querySelector(".oc-icon").textContent = paused ? "play_arrow" : "pause";
    const word = document.querySelector("[data-oc-following-word]");
    if (word) word.textContent = paused ? "paused" : "following";
    if (!paused) toEnd();
  });
  const showPause = () => {
    for (const button of document.querySelectorAll("[data-oc-pause]")) button.hidden = false;
  };
  const AGES = [[3600, "h"], [60, "min"], [1, "s"]];
  setInterval(() => {
    for (const age of document.querySelectorAll("time[data-oc-age]")) {
      const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(age.dateTime)) / 1000));
      const [size, unit] = AGES.find(([one]) => seconds >= one) ?? [1, "s"];
      age.textContent = `${Math.floor(seconds / size)} ${unit} ago`;
    }
  }, 1000);
  document.addEventListener("DOMContentLoaded", () => { showPause(); toEnd(); });
  document.addEventListener("htmx:oobAfterSwap", (event) => {
    if (event.detail.target?.id !== "oc-log-card") return;
    showPause();
    toEnd();
  });
})();

// The list of runs: fields that are left empty stay out of the address, and nobody is asked for new runs while nobody looks.
(() => {
  "use strict";

  document.addEventListener("submit", (event) => {
    if (!(event.target instanceof HTMLFormElement) || !("ocClean" in event.target.dataset)) return;
    const empty = [...event.target.elements].filter((field) => field.name && !field.value && !field.disabled);
    for (const field of empty) field.disabled = true;
    setTimeout(() => { for (const field of empty) field.disabled = false; }, 0);
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id === "oc-new" && document.hidden) event.preventDefault();
  });
})();

// The command palette: Enter opens the first of what is found, also when it is pressed before the answer has come.
(() => {
  "use strict";

  const box = () => document.getElementById("search-input-command");
  const palette = () => window.Alpine.$data(box());
  let asked = null, shown = null, pressed = null; // what was in the box: when it asked, of the answer shown, at Enter
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id === "search-input-command") asked = event.target.value;
  });
  // Unfold listens to the same event further in, and sets its index to none.
  document.addEventListener("htmx:after-swap", (event) => {
    if (event.target.id !== "command-results") return;
    shown = asked;
    const first = document.querySelector("#command-results-list li a");
    if (!first) return;
    palette().currentIndex = 1;
    if (pressed !== null && pressed === shown && pressed === box().value) first.click();
    pressed = null;
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.id !== "search-input-command") return;
    if (event.key !== "Enter") {
      pressed = null;
      return;
    }
    const { items, currentIndex } = palette();
    const fresh = box().value === "" || shown === box().value;
    if (fresh && items?.[currentIndex - 1]) return;
    if (!fresh && !event.ctrlKey && !event.metaKey) pressed = box().value;
    event.preventDefault();
    event.stopPropagation(); // Unfold would reach for an item that is not there
  }, true);
})();
