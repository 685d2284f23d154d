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

  document.addEventListener("click", async (event) => {
    const button = event.target instanceof Element && event.target.closest("[data-oc-copy]");
    if (!button) return;
    const icon = button.querySelector(".oc-icon");
    try {
      await navigator.clipboard.writeText(button.dataset.ocCopy);
      icon.textContent = "check";
      button.setAttribute("aria-label", "Copied");
    } catch {
      icon.textContent = "error";
      button.setAttribute("aria-label", "Could not be copied");
    }
    setTimeout(() => {
      icon.textContent = "content_copy";
      button.setAttribute("aria-label", "Copy the whole id");
    }, 1500);
  });

  const showCopyButtons = () => {
    if (!navigator.clipboard) return; // absent on plain HTTP: better no button than one that fails
    for (const button of document.querySelectorAll("[data-oc-copy]")) button.hidden = false;
  };

  // "Live · read 12 s ago"; a page that nobody has refreshed for 30 s is not live any more.
  let readAt = Date.now();
  const LIVE_SECONDS = 30;
  const words = (seconds) => {
    if (seconds < 2) return "read now";
    if (seconds < 60) return `read ${seconds} s ago`;
    return seconds < 3600 ? `read ${Math.floor(seconds / 60)} min ago` : `read ${Math.floor(seconds / 3600)} h ago`;
  };
  const tellAge = () => {
    const live = document.getElementById("oc-live");
    if (!live || live.dataset.ocLive !== "on") return;
    const seconds = Math.floor((Date.now() - readAt) / 1000);
    const fresh = seconds <= LIVE_SECONDS;
    live.classList.toggle("oc-live--on", fresh);
    live.classList.toggle("oc-live--off", !fresh);
    live.querySelector("[data-oc-live-word]").textContent = fresh ? "Live" : "Not live";
    live.querySelector("[data-oc-live-age]").textContent = ` · ${words(seconds)}`;
  };
  setInterval(tellAge, 1000);

  // The poll of a run waits while nobody looks, while something on it is unfolded, and while text on it is selected.
  const isBusy = (run) => {
    const chosen = document.getSelection();
    return document.hidden || run.querySelector("details[open]") !== null
      || (chosen !== null && !chosen.isCollapsed && run.contains(chosen.anchorNode));
  };
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id === "oc-run" && isBusy(event.target)) event.preventDefault();
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
})();
