"use strict";
(() => {
  const find = (name) => document.getElementById(name);
  const list = find("cards");
  const nodes = [...list.children];
  const cards = JSON.parse(find("data").textContent).map((said, at) => ({ ...said, at, node: nodes[at] }));
  const controls = ["text", "finding", "bucket", "folder", "sort"].map(find).filter(Boolean);
  const [turn, large] = [find("turn"), find("large")];
  const collator = new Intl.Collator(undefined, { numeric: true });
  let shown = cards;
  let current = 0; // the place among the shown
  let enlarged = 0;

  // What follows a card in which order; whatever was not measured comes last.
  const KEYS = {
    name: (card) => card.name,
    bucket: (card) => card.bucket && card.bucket[0] / card.bucket[1],
    tokens: (card) => card.tokens === null ? null : -card.tokens,
    sharpness: (card) => card.sharpness,
    pixels: (card) => card.pixels,
    findings: (card) => -card.findings,
  };

  const value = (name) => find(name)?.value ?? "";
  const picture = (card) => card.node.querySelector(".picture");

  function words(card) {
    card.words ??= [...card.node.querySelectorAll("h2, .caption:not(.none)")]
      .map((part) => part.textContent).join("\n").toLowerCase();
    return card.words;
  }

  function matches(card, wanted) {
    const finding = value("finding");
    const bucket = value("bucket");
    if (finding === "+" ? !card.findings : finding === "-" ? card.findings : finding && !card.codes.includes(finding)) return false;
    if (bucket && String(card.bucket) !== bucket) return false;
    if (value("folder") && card.folder !== value("folder")) return false;
    return wanted.every((word) => words(card).includes(word));
  }

  function compare(one, other) {
    const key = KEYS[value("sort")];
    const way = turn.getAttribute("aria-pressed") === "true" ? -1 : 1;
    if (key) {
      const [a, b] = [key(one), key(other)];
      if (a === null || b === null) {
        if (a !== b) return a === null ? 1 : -1;
      } else {
        const by = typeof a === "string" ? collator.compare(a, b) : a - b;
        if (by) return by * way;
      }
    }
    return (one.at - other.at) * (key ? 1 : way);
  }

  function update() {
    const wanted = value("text").toLowerCase().split(/\s+/).filter(Boolean);
    const here = shown[current];
    shown = cards.filter((card) => matches(card, wanted)).sort(compare);
    const kept = new Set(shown);
    for (const card of cards) card.node.hidden = !kept.has(card);
    list.append(...shown.map((card) => card.node));
    find("count").textContent = `${shown.length} of ${cards.length} images`;
    find("none").hidden = shown.length > 0;
    choose(Math.max(0, shown.indexOf(here)));
  }

  // One card is in the order of the Tab key: the arrows lead to the others.
  function choose(place) {
    current = place;
    for (const card of cards) picture(card).tabIndex = -1;
    if (shown[place]) picture(shown[place]).tabIndex = 0;
  }

  function go(place) {
    if (!shown.length) return;
    choose(Math.min(Math.max(place, 0), shown.length - 1));
    picture(shown[current]).focus({ preventScroll: true });
    shown[current].node.scrollIntoView({ block: "nearest" });
  }

  function columns() {
    const top = (card) => card.node.offsetTop;
    const next = shown.findIndex((card) => top(card) !== top(shown[0]));
    return next < 0 ? shown.length : next;
  }

  function enlarge(place) {
    if (!shown[place]) return;
    enlarged = place;
    const { node } = shown[place];
    const frame = document.createElement("div");
    frame.className = "frame";
    const image = node.querySelector(".picture > *").cloneNode(true);
    if (image.alt !== undefined) image.alt = shown[place].name;
    frame.append(image);
    const said = node.querySelector(".said").cloneNode(true);
    for (const part of said.querySelectorAll("details")) part.open = true;
    find("one").replaceChildren(frame, said);
    find("place").textContent = `${place + 1} of ${shown.length}`;
    find("before").disabled = place === 0;
    find("after").disabled = place === shown.length - 1;
    if (!large.open) {
      large.showModal();
      find("close").focus();
    } else if (document.activeElement?.disabled || document.activeElement === document.body) find("close").focus();
  }

  function clear() {
    for (const control of controls) control.value = "";
    turn.setAttribute("aria-pressed", "false");
    update();
  }

  function only(code) {
    clear();
    find("finding").value = code;
    update();
    go(0);
    find("tools").scrollIntoView();
  }

  function fromAddress() {
    const [, code] = location.hash.match(/^#finding=([\w-]+)$/) ?? [];
    if (code) only(code);
  }

  const MOVES = {
    ArrowLeft: () => current - 1,
    ArrowRight: () => current + 1,
    ArrowUp: () => current - columns(),
    ArrowDown: () => current + columns(),
    Home: () => 0,
    End: () => shown.length - 1,
  };

  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (large.open) {
      const to = { ArrowLeft: enlarged - 1, ArrowRight: enlarged + 1 }[key];
      if (to !== undefined) {
        event.preventDefault();
        enlarge(to);
      }
    } else if (target.matches("input, select, textarea")) {
      if (key !== "Escape") return;
      event.preventDefault();
      if (target.id === "text" && target.value) {
        target.value = "";
        update();
      } else go(current);
    } else if (key === "/") {
      event.preventDefault();
      find("text").focus();
      find("text").select();
    } else if (MOVES[key] && target.matches(".picture, body")) {
      const to = target === document.body ? current : MOVES[key]();
      if (target === document.body && !key.startsWith("Arrow")) return;
      event.preventDefault();
      if (to >= 0 && to < shown.length) go(to);
    } else if (key === "Escape") clear();
  });

  list.addEventListener("click", (event) => {
    const button = event.target.closest(".picture");
    if (button) enlarge(shown.findIndex((card) => card.node.contains(button)));
  });
  list.addEventListener("focusin", (event) => {
    const place = shown.findIndex((card) => card.node.contains(event.target));
    if (place >= 0 && place !== current) choose(place);
  });
  find("before").addEventListener("click", () => enlarge(enlarged - 1));
  find("after").addEventListener("click", () => enlarge(enlarged + 1));
  find("close").addEventListener("click", () => large.close());
  large.addEventListener("click", (event) => {
    if (event.target === large) large.close(); // beside it
  });
  large.addEventListener("close", () => go(enlarged)); // the browser goes back to the first
  for (const control of controls) control.addEventListener("input", update);
  find("tools").addEventListener("submit", (event) => event.preventDefault());
  find("tools").addEventListener("reset", (event) => {
    event.preventDefault();
    clear();
  });
  turn.addEventListener("click", () => {
    turn.setAttribute("aria-pressed", String(turn.getAttribute("aria-pressed") !== "true"));
    update();
  });
  for (const button of document.querySelectorAll(".show")) {
    button.hidden = false;
    button.addEventListener("click", () => only(button.dataset.code));
  }
  addEventListener("hashchange", fromAddress);
  document.addEventListener("click", (event) => {
    const link = event.target.closest(".on a");
    if (link?.href === location.href) fromAddress(); // no change of it, but maybe of the filter
  });

  // On paper nothing can be opened. What is on each image is explained in the list of all.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll(".all, .row details")].filter((part) => !part.open);
    for (const part of closed) part.open = true;
  });
  addEventListener("afterprint", () => {
    for (const part of closed) part.open = false;
  });

  find("tools").hidden = false;
  const all = document.querySelector(".all");
  if (all && matchMedia("(max-width: 45rem)").matches) all.open = false;
  update();
  fromAddress();
})();
