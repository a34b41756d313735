// The table of all files: only the rows in sight exist, so it scrolls alike with ten files and with a hundred thousand.

const ROW = 26; // pixels; page.css has the same

/** A path whose directory gives way where there is no room, so that the name stays. */
function pathParts(path) {
  const cut = path.lastIndexOf("/");
  return [element("span", {}, path.slice(0, cut)), element("span", {}, path.slice(cut))];
}

class Files {
  constructor({onShow, onFound}) {
    this.onShow = onShow;
    this.onFound = onFound;
    this.pane = byId("rows");
    this.sorted = {column: "size", down: true};
    this.words = [];
    this.step = null;
    this.pane.addEventListener("scroll", () => this.later());
    this.pane.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.later()).observe(this.pane);
  }

  show(layer) {
    this.layer = layer;
    this.paths = null;
    const {table, record, hasShares} = layer;
    const name = (names, column) => (row) => (column[row] === null ? "" : names[column[row]]);
    const known = (column) => column.some((value) => value !== null);
    this.columns = [
      {id: "path", title: "path", text: (row) => layer.path(row), value: (row) => row},
      {id: "size", title: "bytes", number: true, text: (row) => human(table.sizes[row]), value: (row) => table.sizes[row]},
      hasShares && {id: "share", title: "compressed", number: true,
        text: (row) => (table.shares[row] === null ? "" : human(table.shares[row])), value: (row) => table.shares[row] ?? 0},
      known(table.steps) && {id: "step", title: "step", text: name(record.steps.map(({name}) => name), table.steps),
        value: (row) => table.steps[row] ?? -1, color: (row) => layer.colorings[0].color(table.steps[row] ?? -1, layer.palette)},
      known(table.kinds) && {id: "kind", title: "kind", text: name(table.kind_names, table.kinds)},
      known(table.packages) && {id: "package", title: "package", text: name(table.package_names, table.packages)},
    ].filter(Boolean);
    this.update();
  }

  search(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.update();
    this.onFound(this.words.length ? this.order : null);
  }

  only(step) {
    this.step = step;
    this.update();
  }

  update() {
    this.order = this.matching();
    this.sort();
    this.chosen = -1;
    this.pane.scrollTop = 0;
    this.head();
    const bytes = this.order.reduce((sum, row) => sum + this.layer.table.sizes[row], 0);
    byId("found").textContent = `${count(this.order.length, "file")}, ${human(bytes)}`;
    this.draw();
  }

  /** Every word must be in the path, or in the name of the step, kind or package. */
  matching() {
    const {table, record} = this.layer, all = table.names.map((_, row) => row);
    const ofStep = this.step === null ? all : all.filter((row) => (table.steps[row] ?? -1) === this.step);
    if (!this.words.length) return ofStep;
    this.paths ??= all.map((row) => this.layer.path(row).toLowerCase());
    const named = (names, word) => new Set(names.flatMap((name, index) => (name.toLowerCase().includes(word) ? [index] : [])));
    const tests = this.words.map((word) => {
      const steps = named(record.steps.map(({name}) => name), word), kinds = named(table.kind_names, word);
      const packages = named(table.package_names, word);
      return (row) => this.paths[row].includes(word) || steps.has(table.steps[row]) || kinds.has(table.kinds[row])
        || packages.has(table.packages[row]);
    });
    return ofStep.filter((row) => tests.every((test) => test(row)));
  }

  sort() {
    const column = this.columns.find(({id}) => id === this.sorted.column) ?? this.columns[0];
    const value = column.value ?? column.text, sign = this.sorted.down ? -1 : 1;
    this.order.sort((one, other) => {
      const a = value(one), b = value(other);
      return a < b ? -sign : a > b ? sign : one - other;
    });
  }

  head() {
    byId("columns").replaceChildren(...this.columns.map((column) => {
      const sorted = column.id === this.sorted.column, down = sorted && this.sorted.down;
      const order = sorted ? (down ? "descending" : "ascending") : null;
      const button = element("button", {type: "button", onclick: () => this.sortBy(column)}, column.title + (sorted ? (down ? " ↓" : " ↑") : ""));
      return element("th", {class: `${column.id} ${column.number ? "number" : ""}`, "aria-sort": order, scope: "col"}, button);
    }));
  }

  sortBy(column) {
    const again = this.sorted.column === column.id;
    this.sorted = {column: column.id, down: again ? !this.sorted.down : Boolean(column.number)};
    this.update();
    byId("columns").querySelector(`.${column.id} button`).focus();
  }

  later() {
    this.waiting ??= requestAnimationFrame(() => { this.waiting = null; this.draw(); });
  }

  draw() {
    if (!this.layer) return;
    const first = Math.max(0, Math.floor(this.pane.scrollTop / ROW) - 10);
    const last = Math.min(this.order.length, first + Math.ceil(this.pane.clientHeight / ROW) + 20);
    const space = (rows) => element("tr", {"aria-hidden": "true", style: {height: `${rows * ROW}px`}});
    const rows = this.order.slice(first, last).map((row, index) => this.row(row, first + index));
    byId("body").replaceChildren(space(first), ...rows, space(this.order.length - last));
  }

  row(row, position) {
    const cells = this.columns.map((column) => {
      const text = printable(column.text(row));
      const mark = column.color && text ? swatch(column.color(row)) : null;
      const content = column.id === "path" ? pathParts(text) : [mark, text];
      return element("td", {class: `${column.id} ${column.number ? "number" : ""}`, title: text}, ...content);
    });
    const chosen = position === this.chosen;
    return element("tr", {
      class: chosen ? "chosen" : null, "aria-selected": chosen, onclick: () => this.choose(position), ondblclick: () => this.onShow(row),
    }, ...cells);
  }

  choose(position) {
    this.chosen = Math.max(0, Math.min(this.order.length - 1, position));
    const top = this.chosen * ROW, room = this.pane.clientHeight - 2 * ROW;
    if (top < this.pane.scrollTop) this.pane.scrollTop = top;
    else if (top > this.pane.scrollTop + room) this.pane.scrollTop = top - room;
    this.draw();
  }

  key(event) {
    if (event.target !== this.pane) return;
    const page = Math.floor(this.pane.clientHeight / ROW) - 2;
    const steps = {ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity};
    if (event.key in steps) this.choose(this.chosen + steps[event.key]);
    else if (event.key === "Enter" && this.chosen >= 0) this.onShow(this.order[this.chosen]);
    else return;
    event.preventDefault();
  }
}
