// Wires the sections together: one image, one directory, one coloring and at most one highlighted step at a time.

let record, palette;
const state = {image: null, layer: null, root: null, coloring: null, step: null};
const LISTED = 300;

const treemap = new Treemap(byId("treemap"), {onZoom: zoom, onStatus: tell});
const files = new Files({
  onShow: (row) => zoom(state.layer.directories.get(state.layer.table.directories[state.layer.table.parents[row]])),
  onFound: (rows) => { state.layer.measure(state.layer.column, rows); zoom(rows && !state.root.value ? state.layer.root : state.root); },
});

function showImage(image) {
  state.image = image;
  drawTiles(record, image);
  drawDockerfile(record, image, palette);
  drawPackages(record, image);
  drawHints(image);
  drawVerdicts(image);
  for (const id of ["layer", "files"]) byId(id).hidden = !image.table;
  if (!image.table) return;
  state.layer = new Layer(record, image, palette);
  state.root = state.layer.root;
  const first = state.layer.firstColoring();
  state.coloring = state.layer.colorings[first];
  options(byId("coloring"), state.layer.colorings.map(({name}) => name));
  byId("coloring").selectedIndex = first;
  options(byId("metric"), state.layer.hasShares ? ["unpacked bytes", "compressed bytes"] : ["unpacked bytes"]);
  byId("metric-label").hidden = !state.layer.hasShares;
  files.show(state.layer);
  zoom(firstFork(state.layer.root));
  if (byId("search").value) files.search(byId("search").value);
}

/** The URL says what is shown, so that a link or a reload shows the same: image, directory, words. */
function remember() {
  const index = record.images.indexOf(state.image), words = byId("search").value;
  const said = new URLSearchParams({
    ...(index > 0 ? {image: state.image.name} : {}),
    ...(state.root && state.root !== firstFork(state.layer.root) ? {path: state.root.path} : {}), ...(words ? {search: words} : {}),
  });
  history.replaceState(null, "", said.size ? `#${said}` : location.pathname + location.search);
}

function recall() {
  const said = new URLSearchParams(location.hash.slice(1));
  byId("search").value = said.get("search") ?? "";
  byId("image").selectedIndex = Math.max(0, record.images.findIndex(({name}) => name === said.get("image")));
  showImage(record.images[byId("image").selectedIndex]);
  const directory = state.layer?.directories.get(said.get("path"));
  if (directory) zoom(directory);
}

/** The first directory that holds more than one thing: nobody wants to click through /opt to see /opt/nvidia. */
function firstFork(node) {
  while (node.children.length === 1 && node.children[0].children) node = node.children[0];
  return node;
}

function zoom(node) {
  state.root = node;
  drawMap();
  drawCrumbs();
  drawChildren();
  tell(null);
  remember();
}

function drawMap() {
  const isStep = state.coloring?.name === "step";
  treemap.show(state.layer, state.root, state.coloring, isStep ? state.step : null);
  drawLegend();
}

function drawCrumbs() {
  const line = [];
  for (let node = state.root; node; node = node.parent) line.unshift(node);
  byId("crumbs").replaceChildren(...line.flatMap((node, index) => {
    const name = printable(node.name), separator = index > 1 ? ["/"] : [];
    if (node === state.root) return [...separator, element("b", {"aria-current": "location"}, name)];
    return [...separator, element("button", {type: "button", onclick: () => zoom(node)}, name)];
  }));
}

function drawChildren() {
  const children = state.root.children.filter(({files}) => files);
  const items = children.slice(0, LISTED).map((node) => {
    const color = state.coloring.color(state.coloring.key(node), palette);
    const name = element("span", {class: node.children ? "dir" : null}, swatch(color), printable(node.name) + (node.children ? "/" : ""));
    return element("li", {}, element("button", {
      type: "button", title: printable(state.layer.pathOf(node)), onclick: () => (node.children ? zoom(node) : treemap.choose(node)),
      onfocus: () => treemap.choose(node), onmouseenter: () => treemap.choose(node),
    }, name, element("span", {class: "soft"}, human(node.value))));
  });
  if (children.length > LISTED) items.push(element("li", {class: "soft"}, `and ${children.length - LISTED} smaller`));
  byId("children").replaceChildren(...items);
  byId("children").scrollTop = 0;
}

function drawLegend() {
  const {coloring} = state, isStep = coloring.name === "step";
  const used = new Set(coloring.column.map((key) => key ?? -1));
  const keys = [...[...coloring.colors.keys()].filter((key) => used.has(key)), ...(used.has(-1) ? [-1] : [])];
  const others = [...used].some((key) => key >= 0 && !coloring.colors.has(key));
  const marks = keys.map((key) => {
    const content = [swatch(coloring.color(key, palette)), printable(coloring.label(key))];
    if (!isStep) return element("span", {}, ...content);
    return element("button", {type: "button", "aria-pressed": String(state.step === key), onclick: () => highlight(key)}, ...content);
  });
  if (others) marks.push(element("span", {}, swatch(palette.none), "others"));
  byId("legend").replaceChildren(...marks);
}

/** The step whose bytes stand out in the treemap and are alone in the table; again, or null, for all of them. */
function highlight(step) {
  state.step = state.step === step ? null : step;
  for (const mark of document.querySelectorAll("[data-step]")) {
    mark.setAttribute("aria-pressed", String(Number(mark.dataset.step) === state.step));
  }
  if (!state.layer) return;
  state.coloring = state.layer.colorings[0];
  byId("coloring").selectedIndex = 0;
  drawMap();
  files.only(state.step);
}

function tell(node) {
  const shown = node ?? state.root, {coloring, layer} = state;
  const held = shown.children ? `, ${count(shown.files, "file")}` : "";
  const whole = shown === layer.root ? "" : `, ${percent(shown.value, layer.root.value)} of the layer`;
  byId("status").textContent = `${printable(layer.pathOf(shown))}: ${human(shown.value)}${held}${whole}, ${printable(coloring.label(coloring.key(shown)))}`;
}

/** What an image is called: a path's last part, a reference without its registry. */
function lastPart(name) {
  return name.replace(/\/+$/, "").replace(/^.*\//, "") || name;
}

function options(select, names) {
  select.replaceChildren(...names.map((name) => element("option", {}, name)));
}

/** The record as html.py packed it: JSON, gzip, base64. */
function unpack(text) {
  const packed = atob(text), bytes = new Uint8Array(packed.length);
  for (let at = 0; at < packed.length; at += 1) bytes[at] = packed.charCodeAt(at);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

async function start() {
  ({record, palette} = await unpack(byId("data").textContent));
  const seconds = record.steps.reduce((sum, step) => sum + step.seconds, 0), engine = record.engine;
  const isBuild = Boolean(record.recipe.file); // else an image whose layers stand for steps
  byId("name").textContent = printable(isBuild ? record.recipe.name : lastPart(record.recipe.name));
  const steps = isBuild ? `${count(record.steps.length, "step")} in ${duration(seconds)}` : count(record.steps.length, "layer");
  byId("told").textContent = steps + (engine ? `, ${engine.name} ${engine.version}` : "") + `, imgasm ${record.imgasm}`;
  if (!isBuild) byId("told").textContent += `, ${printable(record.recipe.name)}`;
  if (!isBuild) drawLayers(record, palette);
  if (!isBuild) for (const [id, title] of [["timeline-title", "Unpacked, layer by layer"], ["steps-title", "Layers"], ["layer-title", "The image"]]) byId(id).textContent = title;
  options(byId("image"), record.images.map(({name}) => printable(name)));
  byId("images").hidden = record.images.length < 2;
  byId("image").addEventListener("change", (event) => showImage(record.images[event.target.selectedIndex]));
  byId("coloring").addEventListener("change", (event) => {
    state.coloring = state.layer.colorings[event.target.selectedIndex];
    drawMap();
    drawChildren();
  });
  byId("metric").addEventListener("change", (event) => {
    state.layer.measure(event.target.selectedIndex ? "shares" : "sizes", state.layer.rows);
    zoom(state.root);
  });
  byId("search").addEventListener("input", (event) => { files.search(event.target.value); remember(); });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    byId("search").focus();
  });
  for (const mark of document.querySelectorAll(".picture .step")) {
    const step = Number(mark.dataset.step);
    for (const [name, value] of [["tabindex", "0"], ["role", "button"], ["aria-pressed", "false"]]) mark.setAttribute(name, value);
    mark.addEventListener("click", () => highlight(step));
    mark.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); highlight(step); } });
  }
  drawSteps(record, palette, highlight);
  drawPruned(record);
  drawBroken(record);
  drawDiscarded(record);
  if (record.images.length) recall();
  else for (const id of ["layer", "files", "dockerfile", "hinted", "judged"]) byId(id).hidden = true;
  document.body.dataset.ready = "true";
}

start();
