// A form that was sent after its sender had been signed out: what was typed is kept in this tab until they are back.
// Secrets, files and the typed confirmation are not kept; console.js forgets the rest once another page is reached.
(() => {
  "use strict";

  const KEY = "oc.typed";
  const LONGEST = 60 * 60 * 1000;
  const LEFT_OUT = ["hidden", "password", "file", "submit", "button"];
  const here = () => location.pathname + location.search;
  const fieldsOf = (form) =>
    [...form.elements].filter((one) => one.name && !LEFT_OUT.includes(one.type) && one.name !== "oc.confirm");

  const keep = (form) => {
    const names = new Set(fieldsOf(form).map((one) => one.name));
    const fields = [...new FormData(form)].filter(([name]) => names.has(name));
    try {
      sessionStorage.setItem(KEY, JSON.stringify({ at: Date.now(), page: here(), user: form.dataset.ocUser, fields }));
    } catch {
      sessionStorage.removeItem(KEY); // too long to be kept, or not allowed
    }
  };

  const take = (form) => {
    const text = sessionStorage.getItem(KEY);
    sessionStorage.removeItem(KEY);
    const from = document.referrer && new URL(document.referrer);
    if (!text || !from || from.origin !== location.origin || from.pathname !== form.dataset.ocLogin) return null;
    const kept = JSON.parse(text);
    const fits = kept.page === here() && kept.user === form.dataset.ocUser && Date.now() - kept.at < LONGEST;
    return fits ? kept.fields : null;
  };

  const fill = (form, fields) => {
    for (const one of fieldsOf(form)) {
      const values = fields.filter(([name]) => name === one.name).map(([, value]) => value);
      if (one.type === "checkbox" || one.type === "radio") one.checked = values.includes(one.value);
      else if (values.length) one.value = values[0];
      one.dispatchEvent(new Event("oc:refill"));
    }
    form.dispatchEvent(new Event("input", { bubbles: true }));
  };

  const offer = (form, fields) => {
    const notice = document.createElement("div");
    notice.className = "oc-notice oc-notice--idle oc-typed";
    notice.setAttribute("role", "status");
    const said = document.createElement("p");
    said.textContent = "You were signed out before this form arrived: nothing was started or saved. Secrets and files are not kept. ";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "oc-button";
    button.textContent = "Fill in what you had typed";
    button.addEventListener("click", () => {
      fill(form, fields);
      notice.remove();
      fieldsOf(form).find((one) => !one.hidden)?.focus();
    });
    notice.append(said, button);
    (form.closest(".oc-start") ?? form).before(notice);
  };

  document.addEventListener("DOMContentLoaded", () => {
    const form = document.getElementById("oc-start");
    if (!form || !form.dataset.ocUser) return;
    const fields = take(form);
    if (fields) offer(form, fields);
    form.addEventListener("submit", (event) => {
      if (!event.defaultPrevented) keep(form);
    });
  });
})();
