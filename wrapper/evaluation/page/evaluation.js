"use strict";
(() => {
  const find = (name) => document.getElementById(name);
  const { images } = JSON.parse(find("data").textContent);
  const large = find("large");
  const pictures = [...document.querySelectorAll(".grid .picture")];
  const [made, near] = [new Image(), new Image()];
  let current = 0;

  // Each picture by its row and column, so that the arrows go where the eye does.
  const places = new Map(pictures.map((picture, at) => {
    const cell = picture.closest("td");
    return [picture, { at, row: cell.parentNode, column: cell.cellIndex }];
  }));
  const rows = [...new Set(pictures.map((picture) => places.get(picture).row))];

  // One picture is in the order of the Tab key: the arrows lead to the others.
  function choose(at) {
    current = at;
    pictures.forEach((picture, other) => { picture.tabIndex = other === at ? 0 : -1; });
  }

  function moved(picture, key) {
    const { at, row, column } = places.get(picture);
    if (key === "ArrowLeft") return pictures[at - 1];
    if (key === "ArrowRight") return pictures[at + 1];
    const next = rows[rows.indexOf(row) + (key === "ArrowUp" ? -1 : 1)];
    const cell = next?.cells[Math.min(column, next.cells.length - 1)];
    return cell?.querySelector(".picture") ?? next?.querySelector(".picture");
  }

  function enlarge(at) {
    const picture = pictures[at];
    if (!picture) return;
    choose(at);
    const image = picture.querySelector("img");
    const source = images[picture.dataset.nearest];
    find("picture").prepend(made);
    made.src = image.src;
    made.alt = image.alt;
    find("what").textContent = image.alt;
    find("file").href = picture.dataset.link;
    find("beside").hidden = !source;
    if (source) {
      find("beside").prepend(near);
      near.src = source;
      find("name").textContent = picture.parentNode.querySelector("figcaption bdi")?.textContent ?? "";
      near.alt = `training image ${find("name").textContent}`;
    }
    find("before").disabled = at === 0;
    find("after").disabled = at === pictures.length - 1;
    if (!large.open) {
      large.showModal();
      find("close").focus();
    } else if (document.activeElement?.disabled || document.activeElement === document.body) find("close").focus();
  }

  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || !key.startsWith("Arrow")) return;
    if (large.open) {
      const to = moved(pictures[current], key);
      if (!to) return;
      event.preventDefault();
      enlarge(places.get(to).at);
    } else if (places.has(target)) {
      const to = moved(target, key);
      if (!to) return;
      event.preventDefault();
      choose(places.get(to).at);
      to.focus();
    }
  });
  for (const picture of pictures) {
    picture.addEventListener("click", () => enlarge(places.get(picture).at));
    picture.addEventListener("focus", () => choose(places.get(picture).at));
  }
  find("before").addEventListener("click", () => enlarge(current - 1));
  find("after").addEventListener("click", () => enlarge(current + 1));
  find("close").addEventListener("click", () => large.close());
  large.addEventListener("click", (event) => {
    if (event.target === large) large.close(); // beside it
  });
  large.addEventListener("close", () => pictures[current]?.focus());
  if (pictures.length) choose(0);
})();
