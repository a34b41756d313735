// The layer as rectangles on a canvas: d3-hierarchy lays out, only what is large enough to be seen.
// It is laid out here, and not by treemap.py, because it changes with the window and with the directory that is open.

const SMALLEST = 24; // square pixels
const TITLE = 16; // pixels of a directory's name above what it holds

class Treemap {
  constructor(canvas, {onZoom, onStatus}) {
    this.canvas = canvas;
    this.onZoom = onZoom;
    this.onStatus = onStatus;
    this.chosen = null;
    this.cells = [];
    canvas.addEventListener("mousemove", (event) => this.choose(this.cellAt(event)?.data.node ?? null));
    canvas.addEventListener("mouseleave", () => this.choose(null));
    canvas.addEventListener("click", (event) => this.click(this.cellAt(event)));
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(layer, root, coloring, highlight) {
    Object.assign(this, {layer, root, coloring, highlight, chosen: null});
    this.draw();
  }

  draw() {
    const {width, height} = this.canvas.getBoundingClientRect();
    if (!this.layer || !width) return;
    this.canvas.width = width * devicePixelRatio;
    this.canvas.height = height * devicePixelRatio;
    this.layOut(width, height);
    this.paint();
  }

  layOut(width, height) {
    const least = this.root.value * SMALLEST / (width * height);
    const wrap = (node) => ({node, rest: 0, value: node.value});
    const children = ({node, rest}) => {
      if (!node.children || rest) return null;
      const large = node.children.filter((child) => child.value >= least && child.value > 0);
      if (!large.length) return null;
      const wrapped = large.map(wrap), small = node.children.length - large.length;
      const left = node.value - large.reduce((sum, child) => sum + child.value, 0);
      return small && left > 0 ? [...wrapped, {node, rest: small, value: left}] : wrapped;
    };
    const tree = d3.hierarchy(wrap(this.root), children);
    tree.eachAfter((cell) => { cell.value = cell.data.value; });
    const room = (cell) => cell.children && cell.depth > 0 && cell.y1 - cell.y0 > 3 * TITLE && cell.x1 - cell.x0 > 40;
    d3.treemap().size([width, height]).paddingInner(1).paddingOuter(1)
      .paddingTop((cell) => { cell.titled = room(cell); return cell.titled ? TITLE : 1; }).round(true)(tree);
    this.cells = tree.descendants();
  }

  paint() {
    const context = this.canvas.getContext("2d"), style = getComputedStyle(document.body);
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.font = "11px " + style.fontFamily;
    context.textBaseline = "middle";
    context.fillStyle = style.backgroundColor;
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    for (const cell of this.cells) if (cell.depth > 0 || !cell.children) this.paintCell(context, cell, style);
    this.paintChosen(context, style.color);
  }

  paintCell(context, cell, style) {
    const {x0, y0, x1, y1} = cell, {node, rest} = cell.data, width = x1 - x0, height = y1 - y0;
    const key = this.coloring.key(node), color = this.coloring.color(key, this.layer.palette);
    const dimmed = this.highlight !== null && this.highlight !== key;
    context.globalAlpha = (cell.children ? 0.4 : 1) * (dimmed ? 0.18 : 1);
    context.fillStyle = color;
    context.fillRect(x0, y0, width, height);
    context.globalAlpha = 1;
    if (width < 34 || height < 13 || (cell.children && !cell.titled)) return;
    context.save();
    context.beginPath();
    context.rect(x0, y0, width - 3, height);
    context.clip();
    context.fillStyle = cell.children || dimmed ? style.color : ink(color);
    const name = rest ? `${rest} smaller` : node.children && !cell.children ? node.name + "/" : node.name;
    context.fillText(printable(name), x0 + 4, y0 + 8.5);
    if (!cell.children && height > 30) context.fillText(human(cell.data.value), x0 + 4, y0 + 22);
    context.restore();
  }

  paintChosen(context, color) {
    const cell = this.cells.find(({data}) => data.node === this.chosen && !data.rest);
    if (!cell) return;
    context.strokeStyle = color;
    context.lineWidth = 2;
    context.strokeRect(cell.x0 + 1, cell.y0 + 1, cell.x1 - cell.x0 - 2, cell.y1 - cell.y0 - 2);
  }

  cellAt({offsetX: x, offsetY: y}) {
    return this.cells.findLast((cell) => x >= cell.x0 && x < cell.x1 && y >= cell.y0 && y < cell.y1) ?? null;
  }

  choose(node) {
    if (node === this.chosen) return;
    this.chosen = node;
    this.paint();
    this.onStatus(node);
  }

  /** A directory's title zooms to it; anything else to the directory right below the present one that holds it. */
  click(cell) {
    if (!cell) return;
    let node = cell.data.node;
    if (!cell.titled) while (node.parent && node !== this.root && node.parent !== this.root) node = node.parent;
    if (node.children && node !== this.root) this.onZoom(node);
    else this.choose(node);
  }

  key(event) {
    const siblings = this.root.children, at = siblings.indexOf(this.chosen);
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (step) this.choose(siblings[Math.max(0, Math.min(siblings.length - 1, at < 0 ? 0 : at + step))]);
    else if (event.key === "Enter" && this.chosen?.children) this.onZoom(this.chosen);
    else if ((event.key === "Backspace" || event.key === "Escape") && this.root.parent) this.onZoom(this.root.parent);
    else return;
    event.preventDefault();
  }
}
