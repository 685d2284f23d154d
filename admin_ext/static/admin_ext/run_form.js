// The form that starts a job. It works without this: keys are typed, dots come with the answer, the server checks all.
(() => {
  "use strict";

  const make = (name, className, attributes = {}) => {
    const element = document.createElement(name);
    element.className = className;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };

  // --- A search in place of a box for keys: a combobox with a list, as in the ARIA practices ---
  class Pick {
    constructor(box) {
      this.box = box;
      this.many = "ocMany" in box.dataset;
      this.names = JSON.parse(box.dataset.ocNames || "{}");
      this.keys = box.value.split("\n").map((key) => key.trim()).filter(Boolean);
      this.options = [];
      this.active = -1;
      this.asked = 0;
      this.build();
      this.draw();
    }

    build() {
      const id = this.box.id;
      const list = `${id}_list`;
      this.root = make("div", "oc-pick");
      this.input = make("input", "oc-pick__input", {
        type: "text", id, role: "combobox", "aria-expanded": "false", "aria-controls": list, "aria-autocomplete": "list",
        autocomplete: "off", spellcheck: "false", maxlength: "100",
      });
      for (const name of ["aria-describedby", "aria-invalid", "aria-required"]) {
        if (this.box.hasAttribute(name)) this.input.setAttribute(name, this.box.getAttribute(name));
      }
      const label = document.querySelector(`label[for="${CSS.escape(id)}"]`);
      this.list = make("ul", "oc-pick__list", { role: "listbox", id: list, "aria-label": label ? label.textContent.trim() : "Found" });
      this.list.hidden = true;
      this.said = make("span", "oc-hidden", { role: "status" });
      this.box.id = `${id}_keys`;
      this.box.hidden = true;
      this.root.append(this.input, this.list, this.said);
      this.box.after(this.root);
      if (this.box.autofocus) this.input.focus();
      this.box.addEventListener("oc:refill", () => {
        this.keys = this.box.value.split("\n").map((key) => key.trim()).filter(Boolean);
        this.draw();
      });
      this.input.addEventListener("input", (event) => {
        event.stopPropagation(); // a half-typed name is no value yet
        clearTimeout(this.waits);
        this.waits = setTimeout(() => this.search(), 200);
      });
      this.input.addEventListener("keydown", (event) => this.onKey(event));
      this.input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
      this.root.addEventListener("click", (event) => {
        if (event.target === this.root) this.input.focus();
      });
      this.list.addEventListener("mousedown", (event) => {
        event.preventDefault(); // the focus stays in the input
        const option = event.target.closest("[role=option]");
        if (option) this.choose(Number(option.dataset.number));
      });
      // What was typed and not chosen is sent too: it may be a key, and is not lost silently when it is none.
      this.box.form.addEventListener("formdata", (event) => {
        const text = this.input.value.trim();
        if (text) event.formData.set(this.box.name, [...this.keys, text].join("\n"));
      });
    }

    draw() {
      for (const old of this.root.querySelectorAll(".oc-pick__one")) old.remove();
      for (const key of this.keys) {
        const one = make("span", "oc-pick__one");
        const text = make("span", "");
        text.textContent = this.names[key] ?? key;
        const remove = make("button", "oc-pick__remove", { type: "button", "aria-label": `Remove ${text.textContent}` });
        const icon = make("span", "material-symbols-outlined oc-icon", { "aria-hidden": "true" });
        icon.textContent = "close";
        remove.append(icon);
        remove.addEventListener("click", () => this.remove(key));
        one.append(text, remove);
        this.input.before(one);
      }
      this.input.placeholder = this.keys.length && !this.many ? "" : "Type a name or a key…";
    }

    settle() {
      this.box.value = this.keys.join("\n");
      this.draw();
      this.box.dispatchEvent(new Event("input", { bubbles: true }));
    }

    remove(key) {
      this.keys = this.keys.filter((other) => other !== key);
      this.settle();
      this.said.textContent = `${this.names[key] ?? key} removed`;
      this.input.focus();
    }

    choose(number) {
      const { key, name } = this.options[number];
      this.names[key] = name;
      this.keys = this.many ? [...this.keys.filter((other) => other !== key), key] : [key];
      this.input.value = "";
      this.close();
      this.settle();
      this.said.textContent = `${name} chosen`;
    }

    async search() {
      const asked = ++this.asked;
      const text = this.input.value.trim();
      try {
        const answer = await fetch(`${this.box.dataset.ocPick}?${new URLSearchParams({ q: text })}`, {
          headers: { Accept: "application/json" },
        });
        if (!answer.ok) throw new Error(String(answer.status));
        const found = (await answer.json()).objects;
        if (asked === this.asked && document.activeElement === this.input) this.open(found);
      } catch {
        if (asked === this.asked) {
          this.close();
          this.said.textContent = "The search does not answer; type the key.";
        }
      }
    }

    open(found) {
      this.options = found;
      this.list.replaceChildren();
      found.forEach(({ key, name }, number) => {
        const option = make("li", "oc-pick__option", {
          role: "option", id: `${this.list.id}_${number}`, "aria-selected": "false", "data-number": number,
        });
        const small = make("small", "");
        small.textContent = key;
        option.append(name, small);
        this.list.append(option);
      });
      this.list.hidden = found.length === 0;
      this.input.setAttribute("aria-expanded", String(found.length > 0));
      this.said.textContent = found.length ? `${found.length} found` : "None found";
      this.point(found.length && this.input.value.trim() ? 0 : -1);
    }

    close() {
      this.asked += 1;
      clearTimeout(this.waits);
      this.list.hidden = true;
      this.input.setAttribute("aria-expanded", "false");
      this.point(-1);
    }

    point(number) {
      this.list.children[this.active]?.setAttribute("aria-selected", "false");
      this.active = number;
      const option = this.list.children[number];
      if (!option) {
        this.input.removeAttribute("aria-activedescendant");
        return;
      }
      option.setAttribute("aria-selected", "true");
      option.scrollIntoView({ block: "nearest" });
      this.input.setAttribute("aria-activedescendant", option.id);
    }

    onKey(event) {
      const open = !this.list.hidden;
      const last = this.options.length - 1;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (!open) this.search();
        else if (event.key === "ArrowDown") this.point(this.active >= last ? 0 : this.active + 1);
        else this.point(this.active <= 0 ? last : this.active - 1);
      } else if (event.key === "Enter" && open && this.active >= 0) {
        event.preventDefault();
        this.choose(this.active);
      } else if (event.key === "Enter" && this.input.value.trim()) {
        event.preventDefault(); // the answer is on its way: nothing is sent by accident
      } else if (event.key === "Escape" && open) {
        event.preventDefault();
        event.stopPropagation();
        this.close();
      } else if (event.key === "Backspace" && !this.input.value && this.keys.length) {
        this.remove(this.keys[this.keys.length - 1]);
      }
    }
  }

  // --- Dots: what differs from what the form was filled with ---
  const compare = (form) => {
    const data = new FormData(form);
    for (const field of form.querySelectorAll("[data-oc-filled]")) {
      const filled = JSON.parse(field.dataset.ocFilled);
      const now = data.getAll(field.dataset.ocName).map((value) => String(value).replaceAll("\r\n", "\n"));
      const same = Array.isArray(filled)
        ? JSON.stringify(now) === JSON.stringify(filled)
        : (now[0] ?? "") === filled.replaceAll("\r\n", "\n");
      field.classList.toggle("oc-field--changed", !same);
    }
  };

  // --- Advanced: the folded line tells what is inside ---
  const tellAdvanced = (form) => {
    const parts = form.querySelectorAll("[data-oc-advanced]");
    if (parts.length !== 3) return;
    const moment = form.elements["oc.not_before"].value;
    const priority = form.elements["oc.priority"];
    const queue = form.elements["oc.queue"];
    const where = queue.value || queue.dataset.ocUsual;
    parts[0].textContent = where ? `queue ${where}` : "its queue cannot be told";
    parts[1].textContent = priority.value ? `priority ${priority.selectedOptions[0].text}` : "normal priority";
    parts[2].textContent = moment ? `not before ${moment.replace("T", " ")}` : "as soon as possible";
  };

  // --- A date that is half typed is sent as none: say so instead ---
  const HALF = "This is not complete. Fill in all its parts, or clear it.";
  const refuseHalf = (event) => {
    const half = [...event.target.querySelectorAll("input")].filter((input) => input.validity.badInput);
    for (const note of event.target.querySelectorAll("[data-oc-half]")) note.remove();
    for (const input of half) {
      const note = make("p", "oc-error", { "data-oc-half": "", role: "alert" });
      note.textContent = HALF;
      input.after(note);
    }
    if (!half.length) return;
    event.preventDefault();
    event.stopImmediatePropagation(); // it is not on its way
    half[0].focus();
  };

  document.addEventListener("DOMContentLoaded", () => {
    const form = document.getElementById("oc-start");
    if (!form) return;
    for (const box of form.querySelectorAll("[data-oc-pick]")) new Pick(box);
    // Unfold writes a chosen file's name into the first text field near it, which here is another parameter: it leaves
    // alone what bears this mark.
    for (const input of form.querySelectorAll("input[type=file]")) input.hasChangeListener = true;
    form.addEventListener("submit", refuseHalf);
    // Enter presses the first button of a form; in the name of a preset it means the button beside it.
    document.getElementById("id_preset")?.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      form.requestSubmit(form.querySelector("button[formaction]"));
    });
    form.addEventListener("input", () => {
      compare(form);
      tellAdvanced(form);
    });
  });
})();
