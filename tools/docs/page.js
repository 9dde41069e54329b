"use strict";
// The search, and the mark at the section that is being read. Everything else on the page works without this.
(() => {
  const box = document.getElementById("search");
  const input = box.querySelector("input");
  const list = box.querySelector("ol");
  const contents = document.getElementById("contents");
  const menu = document.getElementById("menu");
  const entries = INDEX.map(([title, about, anchor]) => ({ title, about, anchor, text: `${title} ${about}`.toLowerCase() }));
  box.hidden = false;

  const score = (entry, words) => {
    const title = entry.title.toLowerCase();
    let sum = 0;
    for (const word of words) {
      if (!entry.text.includes(word)) return 0;
      sum += title === word ? 8 : title.startsWith(word) ? 4 : title.includes(word) ? 2 : 1;
    }
    return sum;
  };

  const show = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    contents.hidden = words.length > 0;
    list.replaceChildren();
    if (!words.length) return;
    const found = entries
      .map((entry) => ({ entry, value: score(entry, words) }))
      .filter((hit) => hit.value)
      .sort((one, other) => other.value - one.value)
      .slice(0, 40);
    for (const { entry } of found) {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = `#${entry.anchor}`;
      const title = document.createElement("b");
      title.textContent = entry.title;
      const about = document.createElement("span");
      about.textContent = entry.about;
      link.append(title, about);
      link.addEventListener("click", () => { menu.checked = false; });
      item.append(link);
      list.append(item);
    }
    if (!found.length) {
      const item = document.createElement("li");
      item.className = "none";
      item.textContent = "nothing found";
      list.append(item);
    }
  };

  const links = () => [...list.querySelectorAll("a")];
  input.addEventListener("input", show);
  box.addEventListener("keydown", (event) => {
    const all = links();
    const at = all.indexOf(document.activeElement);
    if (event.key === "ArrowDown" && all.length) all[Math.min(at + 1, all.length - 1)].focus();
    else if (event.key === "ArrowUp" && all.length) (at > 0 ? all[at - 1] : input).focus();
    else if (event.key === "Enter" && at < 0 && all.length) all[0].click();
    else if (event.key === "Escape") { input.value = ""; show(); input.blur(); }
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      menu.checked = true;
      input.focus();
      event.preventDefault();
    }
  });
  contents.addEventListener("click", () => { menu.checked = false; });

  const byAnchor = new Map([...contents.querySelectorAll("a")].map((link) => [link.getAttribute("href").slice(1), link]));
  let marked = null;
  const mark = () => {
    let current = null;
    for (const section of document.querySelectorAll("main section")) {
      if (section.getBoundingClientRect().top > 120) break;
      if (byAnchor.has(section.id)) current = byAnchor.get(section.id);
    }
    if (current === marked) return;
    marked?.removeAttribute("aria-current");
    current?.setAttribute("aria-current", "true");
    current?.scrollIntoView({ block: "nearest" });
    marked = current;
  };
  let due = false;
  addEventListener("scroll", () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; mark(); });
  }, { passive: true });
  mark();
  addEventListener("beforeprint", () => document.querySelectorAll("details:not(.shown, .transcript, .same)").forEach((part) => { part.open = true; }));
})();
