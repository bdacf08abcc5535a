"use strict";
const all = (query, within = document) => [...within.querySelectorAll(query)];

// Hosts read the repository from where this page lies.
const base = new URL(".", location.href).href.replace(/\/$/, "");
for (const place of all(".url")) place.textContent = base;

for (const button of all(".copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const block = button.parentElement.querySelector("pre");
    try {
      await navigator.clipboard.writeText(block.textContent);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(block);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

const searches = all(".search");
const tabs = all("nav a");

let wording = new URLSearchParams(location.search).get("q") ?? "";

function show() {
  const wanted = decodeURIComponent(location.hash.slice(1));
  const chosen = tabs.find((tab) => tab.dataset.suite === wanted) ?? tabs[0];
  for (const tab of tabs) tab.ariaCurrent = tab === chosen ? "page" : null;
  for (const suite of all(".suite")) suite.hidden = suite.dataset.suite !== chosen?.dataset.suite;
  const words = wording.toLowerCase().split(/\s+/).filter(Boolean);
  for (const suite of all(".suite")) {
    let count = 0;
    for (const app of all(".app", suite)) {
      const text = app.textContent.toLowerCase();
      app.hidden = !words.every((word) => text.includes(word));
      count += app.hidden ? 0 : 1;
    }
    const none = suite.querySelector(".none");
    if (none) none.hidden = count > 0;
  }
}

for (const search of searches) {
  search.hidden = false;
  search.value = wording;
  search.addEventListener("input", () => {
    wording = search.value;
    for (const other of searches) other.value = wording;
    show();
  });
}
addEventListener("hashchange", show);
addEventListener("keydown", (event) => {
  if (event.key === "/" && !searches.includes(document.activeElement)) {
    event.preventDefault();
    searches.find((search) => search.checkVisibility())?.focus();
  }
});
show();
