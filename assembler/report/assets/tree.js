// A layer's files, from the record's columns to a tree of directories, and what each file is coloured by.

class Layer {
  constructor(record, image, palette) {
    this.record = record;
    this.table = image.table;
    this.palette = palette;
    this.hasShares = this.table.shares.some((share) => share !== null);
    this.colorings = [
      new Coloring("step", this.table.steps, record.steps.map((step) => step.name), "before the first step", palette),
      new Coloring("kind", this.table.kinds, this.table.kind_names, "unknown", palette),
      new Coloring("package", this.table.packages, this.table.package_names, "in no package", palette),
    ].filter((coloring) => coloring.isKnown);
    this.root = this.build();
    this.column = "sizes";
    this.measure();
  }

  /** What tells most at first sight: steps, or what else there is where one step has written everything. */
  firstColoring() {
    return Math.max(0, this.colorings.findIndex(({column}) => new Set(column).size > 1));
  }

  path(row) {
    const directory = this.table.directories[this.table.parents[row]];
    return (directory === "/" ? "" : directory) + "/" + this.table.names[row];
  }

  build() {
    const root = {name: "/", path: "/", parent: null, children: [], row: -1, value: 0, files: 0};
    const found = new Map([["/", root]]);
    const directory = (path) => {
      let node = found.get(path);
      if (!node) {
        const cut = path.lastIndexOf("/");
        const parent = directory(path.slice(0, cut) || "/");
        node = {name: path.slice(cut + 1), path, parent, children: [], row: -1, value: 0, files: 0};
        parent.children.push(node);
        found.set(path, node);
      }
      return node;
    };
    const directories = this.table.directories.map(directory);
    this.table.names.forEach((name, row) => {
      const parent = directories[this.table.parents[row]];
      parent.children.push({name, path: null, parent, children: null, row, value: 0, files: 1});
    });
    this.directories = found;
    return root;
  }

  /** Sets every node's value: bytes in the tar ("sizes"), or in the compressed blob ("shares"), of the files that
   *  count: those in `rows`, or all where that is null. */
  measure(column = this.column, rows = this.rows ?? null) {
    Object.assign(this, {column, rows});
    const values = this.table[column], counts = rows && new Set(rows);
    for (const {dominants} of this.colorings) dominants.clear();
    const visit = (node) => {
      if (!node.children) { node.files = counts && !counts.has(node.row) ? 0 : 1; node.value = node.files ? values[node.row] || 0 : 0; return; }
      node.value = 0;
      node.files = 0;
      for (const child of node.children) { visit(child); node.value += child.value; node.files += child.files; }
      node.children.sort((one, other) => other.value - one.value);
    };
    visit(this.root);
  }

  pathOf(node) { return node.path ?? this.path(node.row); }
}

/** What files are coloured by: their steps, kinds or packages. -1 stands for none. */
class Coloring {
  constructor(name, column, names, none, palette) {
    this.name = name;
    this.column = column;
    this.names = names;
    this.none = none;
    this.isKnown = column.some((index) => index !== null);
    this.colors = this.ranks(palette);
    this.dominants = new Map();
  }

  /** Steps keep the colour of their number; of kinds and packages the most frequent get one. */
  ranks(palette) {
    if (this.name === "step") return new Map(this.names.map((_, index) => [index, palette.steps[index % palette.steps.length]]));
    const counts = new Map();
    for (const index of this.column) if (index !== null) counts.set(index, (counts.get(index) ?? 0) + 1);
    const most = [...counts].sort((one, other) => other[1] - one[1]).slice(0, palette.steps.length);
    return new Map(most.map(([index], rank) => [index, palette.steps[rank]]));
  }

  label(key) { return key < 0 ? this.none : this.names[key]; }

  color(key, palette) { return this.colors.get(key) ?? palette.none; }

  /** A file's own key; a directory's is the one with most of its bytes. */
  key(node) {
    if (!node.children) return node.row < 0 ? -1 : this.column[node.row] ?? -1;
    if (!this.dominants.has(node)) {
      const sums = new Map();
      const visit = (inner) => {
        if (inner.children) inner.children.forEach(visit);
        else { const key = this.key(inner); sums.set(key, (sums.get(key) ?? 0) + inner.value); }
      };
      visit(node);
      this.dominants.set(node, [...sums].reduce((best, sum) => (sum[1] > best[1] ? sum : best), [-1, -1])[0]);
    }
    return this.dominants.get(node);
  }
}
