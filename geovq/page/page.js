"use strict";
// The explorer: codebooks as tiles, one code at a time, and images token by token.
const data = JSON.parse(document.getElementById("data").textContent);
const [height, width] = data.size;
const decimals = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
const nats = new Intl.NumberFormat("en", decimals);
const change = new Intl.NumberFormat("en", { ...decimals, signDisplay: "exceptZero" });
const round = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const percent = (share) => `${round.format(100 * share)} %`;
const images = (count) => `${count} test image${count === 1 ? "" : "s"}`;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// The image at a place of a sheet. Without a name it is decoration beside text that says the same.
function picture(sheet, place, name) {
  const canvas = element("canvas", { width, height });
  const [x, y] = [(place % data.columns) * width, Math.floor(place / data.columns) * height];
  const source = document.getElementById(`sheet-${sheet}`);
  const context = canvas.getContext("2d", { willReadFrequently: true }); // `difference` reads it
  context.drawImage(source, x, y, width, height, 0, 0, width, height);
  if (name) {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", name);
  } else {
    canvas.setAttribute("aria-hidden", "true");
  }
  return canvas;
}

function testName(place) {
  const label = data.labels ? `, class ${data.labels[place]}` : "";
  return `test image ${data.tests[place]}${label}`;
}

// --- Codebooks

const tiles = document.getElementById("tiles");
let book = data.tokenizers[0];

function codeName(tile) {
  const { code, count, classes } = book.codes[tile];
  const most = classes && classes.length ? `, most of class ${classes[0][0]}` : "";
  return `code ${code}: ${images(count)}${most}`;
}

// A button with the picture of a code; `tile` is its place in the codebook.
function codeButton(tile, name, ...children) {
  const button = element("button", { className: "tile", type: "button", title: codeName(tile) });
  button.setAttribute("aria-label", name);
  button.append(picture(`codes-${book.key}`, tile), ...children);
  button.addEventListener("click", () => choose(tile));
  return button;
}

function drawBook() {
  const side = Math.ceil(Math.sqrt(book.codes.length));
  tiles.style.setProperty("--columns", side);
  const counts = book.codes.map(({ count }) => count);
  const most = Math.max(...counts);
  const made = counts.map((count, tile) => {
    const button = codeButton(tile, codeName(tile));
    button.style.setProperty("--share", count / most);
    return button;
  });
  tiles.replaceChildren(...made);
  choose(counts.indexOf(most));
}

function choose(tile) {
  const near = new Set(book.codes[tile].near.map(([other]) => other));
  [...tiles.children].forEach((button, place) => {
    button.setAttribute("aria-pressed", place === tile);
    button.classList.toggle("near", near.has(place));
    button.tabIndex = place === tile ? 0 : -1; // one stop for Tab, arrows inside
  });
  drawCode(tile);
}

function drawCode(tile) {
  const { code, count, members, near, classes } = book.codes[tile];
  const share = element("p", {}, `${images(count)}, ${percent(count / data.total)} of all`);
  const words = element("div", {}, element("h3", {}, `Code ${code}`), share);
  const parts = [element("div", { className: "head" }, picture(`codes-${book.key}`, tile), words)];
  if (classes && classes.length) {
    parts.push(element("h4", {}, "Classes"), classTable(classes, count));
  }
  if (members.length) {
    const all = members.length === count;
    const title = all ? "Its test images" : `The first ${members.length} of its test images`;
    const row = members.map((place) => {
      const canvas = picture("tests", place, testName(place));
      canvas.title = testName(place);
      return canvas;
    });
    parts.push(element("h4", {}, title), element("div", { className: "row" }, ...row));
  }
  const title = near.length ? "Neighbours, by shared edges of the graph" : "No neighbours";
  const buttons = near.map(([other, shared]) => {
    const edges = `${shared} edge${shared === 1 ? "" : "s"}`;
    const name = `${edges} shared with ${codeName(other)}`;
    const button = codeButton(other, name, element("span", {}, edges));
    button.addEventListener("click", () => tiles.children[other].focus()); // this one is gone
    return button;
  });
  parts.push(element("h4", {}, title), element("div", { className: "row wide" }, ...buttons));
  document.getElementById("code").replaceChildren(...parts);
  document.getElementById("chosen").textContent = codeName(tile);
}

function classTable(classes, count) {
  const sizes = new Map(data.classes);
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
  book = data.tokenizers[event.target.value];
  drawBook();
});

// --- Token by token

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
    const gap = made[4 * pixel] - old[4 * pixel];
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
  drawBook();
  drawOriginals();
  document.documentElement.dataset.ready = "yes";
});
