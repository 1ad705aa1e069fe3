"use strict";
// The explorer: codebooks as tiles, one code at a time, and images token by token.
const data = JSON.parse(document.getElementById("data").textContent);
const [height, width] = data.size;
const decimals = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
const nats = new Intl.NumberFormat("en", decimals);
const change = new Intl.NumberFormat("en", { ...decimals, signDisplay: "exceptZero" });
const round = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat("en");
const percent = (share) => `${round.format(100 * share)} %`;
const images = (count) => `${whole.format(count)} test image${count === 1 ? "" : "s"}`;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// The image at a place of a sheet, of which some cells may stand out from the others.
// Without a name it is decoration beside text that says the same.
function picture(sheet, place, name, cells) {
  const canvas = element("canvas", { width, height });
  const [x, y] = [(place % data.columns) * width, Math.floor(place / data.columns) * height];
  const source = document.getElementById(`sheet-${sheet}`);
  const context = canvas.getContext("2d", { willReadFrequently: true }); // `difference` reads it
  context.globalAlpha = cells ? 0.3 : 1;
  context.drawImage(source, x, y, width, height, 0, 0, width, height);
  context.globalAlpha = 1;
  (cells ?? []).map(cellBox).forEach((box) => {
    const [left, top, ...size] = box;
    context.clearRect(...box);
    context.drawImage(source, x + left, y + top, ...size, ...box);
  });
  if (name) {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", name);
  } else {
    canvas.setAttribute("aria-hidden", "true");
  }
  return canvas;
}

// Left, top, width and height of a cell of the grid, in pixels.
function cellBox(cell) {
  const [rows, columns] = own.grid;
  const [row, column] = [Math.floor(cell / columns), cell % columns];
  const edges = (size, count, at) => [at, at + 1].map((edge) => Math.round((size * edge) / count));
  const [left, right] = edges(width, columns, column);
  const [top, bottom] = edges(height, rows, row);
  return [left, top, right - left, bottom - top];
}

function testName(place) {
  const label = data.labels ? `, class ${data.labels[place]}` : "";
  return `test image ${data.tests[place]}${label}`;
}

// --- Codebooks

const tiles = document.getElementById("tiles");
const position = document.getElementById("position");
let own, view, codes; // of the tokeniser, and of the position, that is chosen

// So many test images, or so many cells of them.
function amount({ count, images: among }) {
  if (among === undefined) return images(count);
  return `${whole.format(count)} cell${count === 1 ? "" : "s"} of ${images(among)}`;
}

function codeName(tile) {
  const { code, classes } = codes[tile];
  const most = classes && classes.length ? `, most of class ${classes[0][0]}` : "";
  return `code ${code}: ${amount(codes[tile])}${most}`;
}

// A button with the picture of a code; `tile` is its place in the codebook.
function codeButton(tile, name, ...children) {
  const button = element("button", { className: "tile", type: "button", title: codeName(tile) });
  button.setAttribute("aria-label", name);
  button.append(codePicture(tile), ...children);
  button.addEventListener("click", () => choose(tile));
  return button;
}

const codePicture = (tile) => picture(`codes-${own.key}-${view.book}`, tile);

function chooseTokenizer(index) {
  const [before, chosen] = [own, position.selectedIndex];
  own = data.tokenizers[index];
  const options = own.views.map(({ name }, value) => element("option", { value }, name));
  const alike = before && before.views.length === options.length; // the same positions
  position.replaceChildren(...options);
  position.selectedIndex = alike ? chosen : 0;
  position.parentNode.hidden = options.length === 1;
  document.getElementById("about").textContent = own.about;
  choosePosition(position.selectedIndex);
}

function choosePosition(index) {
  const before = view;
  view = own.views[index];
  codes = view.codes.map((code, tile) => ({ ...code, ...own.books[view.book][tile] }));
  const same = own.views.includes(before) && before.book === view.book;
  const counts = codes.map(({ count }) => count);
  drawBook(counts, same ? chosenTile() : counts.indexOf(Math.max(...counts)));
}

const chosenTile = () => [...tiles.children].findIndex((button) => button.ariaPressed === "true");

function drawBook(counts, tile) {
  const side = Math.ceil(Math.sqrt(counts.length));
  tiles.style.setProperty("--columns", side);
  const most = Math.max(...counts);
  const made = counts.map((count, place) => {
    const button = codeButton(place, codeName(place));
    button.style.setProperty("--share", count / most);
    return button;
  });
  tiles.replaceChildren(...made);
  choose(tile);
}

function choose(tile) {
  const near = new Set(codes[tile].near.map(([other]) => other));
  [...tiles.children].forEach((button, place) => {
    button.setAttribute("aria-pressed", place === tile);
    button.classList.toggle("near", near.has(place));
    button.tabIndex = place === tile ? 0 : -1; // one stop for Tab, arrows inside
  });
  drawCode(tile);
}

function drawCode(tile) {
  const { code, count, near, classes } = codes[tile];
  const all = data.total * view.positions;
  const share = element("p", {}, `${amount(codes[tile])}, ${percent(count / all)} of all`);
  const words = element("div", {}, element("h3", {}, `Code ${code}`), share);
  const parts = [element("div", { className: "head" }, codePicture(tile), words)];
  if (classes && classes.length) {
    parts.push(element("h4", {}, "Classes"), classTable(classes, count));
  }
  parts.push(...memberRow(codes[tile]));
  const title = near.length ? "Neighbours, by shared edges of the graph" : "No neighbours";
  const buttons = near.map(([other, shared]) => {
    const edges = `${whole.format(shared)} edge${shared === 1 ? "" : "s"}`;
    const name = `${edges} shared with ${codeName(other)}`;
    const button = codeButton(other, name, element("span", {}, edges));
    button.addEventListener("click", () => tiles.children[other].focus()); // this one is gone
    return button;
  });
  parts.push(element("h4", {}, title), element("div", { className: "row wide" }, ...buttons));
  document.getElementById("code").replaceChildren(...parts);
  document.getElementById("chosen").textContent = codeName(tile);
}

// A heading and the test images of a code.
function memberRow({ count, members, cells, images: among }) {
  if (!members.length) return [];
  const which = cells ? "with most of it" : "of its test images";
  const all = members.length === (among ?? count);
  const title = all
    ? "Its test images"
    : `The ${cells ? images(members.length) : `first ${members.length}`} ${which}`;
  const row = members.map((place, member) => {
    const inside = cells ? cells[member] : view.cell === null ? null : [view.cell];
    const where = cells ? `, in ${inside.length} of ${view.positions} cells` : "";
    const name = testName(place) + where;
    const canvas = picture("tests", place, name, own.grid && inside);
    canvas.title = name;
    return canvas;
  });
  return [element("h4", {}, title), element("div", { className: "row" }, ...row)];
}

function classTable(classes, count) {
  const sizes = new Map(data.classes.map(([label, size]) => [label, size * view.positions]));
  const names = ["class", "share", "of the code", "of the class"];
  const head = names.map((name) => element("th", { scope: "col" }, name));
  const rows = classes.slice(0, 10).map(([label, number]) => {
    const bar = element("span", { className: "bar" });
    bar.style.width = percent(number / count).replace(" ", "");
    const cells = [bar, percent(number / count), percent(number / sizes.get(label))];
    const name = element("th", { scope: "row" }, String(label));
    return element("tr", {}, name, ...cells.map((cell) => element("td", {}, cell)));
  });
  const table = element("table", { className: "bars" });
  if (classes.length > rows.length) {
    table.append(element("caption", {}, `The largest ${rows.length} of ${classes.length}`));
  }
  table.append(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
  return table;
}

tiles.addEventListener("keydown", (event) => {
  const all = [...tiles.children];
  const at = all.indexOf(document.activeElement);
  const columns = getComputedStyle(tiles).gridTemplateColumns.split(" ").length;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  const to = { Home: 0, End: all.length - 1 }[event.key] ?? at + steps[event.key];
  if (!all[to]) return; // another key, or the edge
  event.preventDefault();
  all[to].focus();
});

document.getElementById("books").addEventListener("change", (event) => {
  chooseTokenizer(event.target.value);
});

position.addEventListener("change", () => choosePosition(position.value));

// --- Token by token

const brightness = (data, at) => (data[at] + data[at + 1] + data[at + 2]) / 3;

// Pixels that are brighter in one picture than in another, and darker ones; none where alike.
function difference(before, after) {
  const [old, made] = [before, after].map(
    (canvas) => canvas.getContext("2d").getImageData(0, 0, width, height).data,
  );
  const canvas = element("canvas", { width, height });
  canvas.setAttribute("aria-hidden", "true"); // the caption says how much it is
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const brighter = style.getPropertyValue("--series-0");
  const darker = style.getPropertyValue("--series-1");
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    const gap = brightness(made, 4 * pixel) - brightness(old, 4 * pixel);
    context.globalAlpha = Math.min(1, (2 * Math.abs(gap)) / 255); // at twice the contrast
    context.fillStyle = gap > 0 ? brighter : darker;
    context.fillRect(pixel % width, Math.floor(pixel / width), 1, 1);
  }
  return canvas;
}

function frame(pictures, ...lines) {
  const caption = element("figcaption", {}, ...lines.map((line) => element("span", {}, line)));
  return element("figure", {}, ...pictures, caption);
}

function drawSteps(row) {
  const original = data.shown[row];
  const blocks = data.tokenizers.map(({ key, name, bits, bce }) => {
    const count = (t) => `${t + 1} token${t ? "s" : ""}`;
    const pictures = bits.map((_, t) => {
      const title = `${testName(original)}, from ${count(t)}`;
      return picture(`steps-${key}`, row * bits.length + t, title);
    });
    const frames = bits.map((rate, t) => {
      const lines = [count(t), `${round.format(rate)} bits`, `${nats.format(bce[row][t])} nats`];
      if (!t) return frame([pictures[0]], ...lines);
      lines.push(change.format(bce[row][t] - bce[row][t - 1]).replace("-", "−"));
      return frame([pictures[t], difference(pictures[t - 1], pictures[t])], ...lines);
    });
    const first = frame([picture("tests", original, testName(original))], "original");
    return [element("h3", {}, name), element("div", { className: "frames" }, first, ...frames)];
  });
  document.getElementById("steps").replaceChildren(...blocks.flat());
}

function drawOriginals() {
  const originals = document.getElementById("originals");
  data.shown.forEach((place, row) => {
    const input = element("input", { type: "radio", name: "original", value: row, checked: !row });
    input.setAttribute("aria-label", testName(place));
    originals.append(element("label", {}, input, picture("tests", place)));
  });
  originals.addEventListener("change", (event) => drawSteps(Number(event.target.value)));
  drawSteps(0);
}

// Pictures in data URIs are decoded in the background: not before that can they be cut up.
const sheets = [...document.querySelectorAll("img[id^=sheet-]")];
Promise.all(sheets.map((image) => image.decode())).then(() => {
  chooseTokenizer(0);
  drawOriginals();
  document.documentElement.dataset.ready = "yes";
});
