// The sections that do not change once they are drawn: figures, steps, comparison, what was pruned.

function drawTiles(record, image) {
  const below = image.base.reduce((sum, layer) => sum + layer.compressed, 0), cost = record.dockerfile;
  const peak = Math.max(0, ...record.steps.map((step) => step.peak ?? 0));
  const tiles = [
    [human(image.layer.compressed), "the layer, compressed"],
    image.layer.uncompressed === null ? null : [human(image.layer.uncompressed), "the layer, unpacked"],
    [human(image.layer.compressed + below), below ? `the image, with ${human(below)} below` : "the image, with nothing below"],
    peak ? [human(peak), "at most on disk during the build"] : null,
    cost ? [human(cost.bytes), "as a Dockerfile of one stage, unpacked"] : null,
    cost && cost.bytes >= 1.05 * image.layer.content && image.layer.content ? [`${(cost.bytes / image.layer.content).toFixed(1)} times`, "less than with one stage; with two it is the same"] : null,
  ];
  byId("tiles").replaceChildren(...tiles.filter(Boolean).map(([size, what]) =>
    element("div", {class: "tile"}, element("b", {}, size), element("span", {class: "soft"}, what))));
}

/** columns: [title, number?]; rows: arrays of strings or elements. */
function fill(table, columns, rows) {
  const kind = (index) => (columns[index][1] ? "number" : null);
  table.replaceChildren(
    element("thead", {}, element("tr", {}, ...columns.map(([title], index) => element("th", {class: kind(index), scope: "col"}, title)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, index) => element("td", {class: kind(index)}, cell))))),
  );
}

function drawSteps(record, palette, onStep) {
  const columns = [
    ["layer", "layer"], ["written", "added"], ["deleted or replaced", "removed"], ["peak", "peak"],
    ["within the step only", "transient"], ["scratch", "scratch"], ["disk free", "free_min"],
  ].filter(([, key]) => record.steps.some((step) => step[key] !== null));
  const timed = Boolean(record.recipe.file); // an image's layers are no steps
  const size = (value) => (value === null ? "" : human(value));
  const rows = record.steps.map((step, index) => {
    const color = palette.steps[index % palette.steps.length];
    const button = element("button", {type: "button", "data-step": index, "aria-pressed": "false", onclick: () => onStep(index)},
      swatch(color), printable(step.name));
    return [button, ...(timed ? [duration(step.seconds)] : []), ...columns.map(([, key]) => size(step[key]))];
  });
  fill(byId("steps"), [["step"], ...(timed ? [["time", true]] : []), ...columns.map(([title]) => [title, true])], rows);
}

function bar(label, size, whole, color, sum) {
  const width = whole ? `${Math.min(100, 100 * size / whole)}%` : "0";
  return element("div", {class: sum ? "bar sum" : "bar"},
    element("span", {title: label}, label), element("span", {class: "number"}, human(size)), element("i", {style: {width, background: color}}));
}

/** An image's layers have no times: bars say what each holds. One alone would only say it again. */
function drawLayers(record, palette) {
  const sizes = record.steps.map(({layer}, index) => layer - (index ? record.steps[index - 1].layer : 0));
  byId("timeline").querySelector(".scroll").hidden = true;
  byId("timeline").hidden = sizes.length < 2 || record.steps.some(({layer}) => layer === null);
  byId("layers").replaceChildren(...sizes.map((size, index) =>
    bar(printable(record.steps[index].name), size, Math.max(...sizes), palette.steps[index % palette.steps.length])));
}

function drawDockerfile(record, image, palette) {
  const cost = record.dockerfile;
  byId("dockerfile").hidden = !cost;
  if (!cost) return;
  const guess = cost.compressed_estimate === null ? "" : ` About ${human(cost.compressed_estimate)} compressed: an estimate, at this build's own ratio.`;
  const scratch = cost.scratch ? ` ${human(cost.scratch)} of it was on scratch volumes here.` : "";
  const copied = cost.two_stages.find((stage) => stage.image === image.name);
  const removals = copied && copied.removals ? ` COPY can't remove ${copied.removals} ${copied.removals === 1 ? "path" : "paths"}.` : "";
  byId("dockerfile-told").textContent = `One stage, one RUN for each step: what each layer would hold, unpacked. In one stage, deleting frees nothing.${scratch}${guess}`
    + ` Two stages, COPY --from of the same files: no more than here, but the first stage's ${human(cost.bytes)} stay in the builder's cache.${removals}`;
  byId("bars").replaceChildren(
    ...cost.steps.map((size, index) =>
      bar(`RUN ${printable(record.steps[index].name)}`, size, cost.bytes, palette.steps[index % palette.steps.length])),
    bar("one stage: all of them", cost.bytes, cost.bytes, palette.none, true),
    ...(copied ? [bar("two stages: COPY --from", copied.bytes, cost.bytes, palette.none)] : []),
    bar("imgasm's one layer", image.layer.content, cost.bytes, "var(--accent)"),
  );
}

function drawPruned(record) {
  byId("pruned").hidden = !record.prune.length;
  fill(byId("prune"), [["rule"], ["preset"], ["files", true], ["bytes", true]], record.prune.map((rule) => [
    printable(rule.pattern), rule.preset ?? "", rule.files ? String(rule.files) : "",
    rule.files ? human(rule.bytes) : element("span", {class: rule.preset ? "soft" : "warn"}, "matched nothing"),
  ]));
}

function drawDiscarded(record) {
  const name = (step) => (step === null ? "before the first step" : printable(record.steps[step].name));
  byId("lost").hidden = !record.discarded.length;
  const rows = [...record.discarded].sort((one, other) => other.bytes - one.bytes);
  fill(byId("discarded"), [["written by"], ["deleted or replaced by"], ["bytes", true]],
    rows.map((discard) => [name(discard.written_by), name(discard.removed_by), human(discard.bytes)]));
}

function drawBroken(record) {
  byId("over").hidden = !record.broken.length;
  byId("broken").replaceChildren(...record.broken.map((violation) => element("li", {}, printable(sentence(violation)),
    element("ul", {class: "soft"}, ...violation.culprits.map((line) => element("li", {}, printable(line)))))));
}

/** As Violation.sentence in record.py. */
function sentence({image, what, limit, actual}) {
  if (actual === null) return `${image}: ${what} can't be measured here, but has a budget of ${human(limit)}`;
  return `${image}: ${what} is ${human(actual)}, ${human(actual - limit)} over its budget of ${human(limit)}`;
}

/** What the packages that own files in the layer have there; versions and licences where the database told them. */
function drawPackages(record, {table}) {
  const found = (table?.package_names ?? []).map((name) => ({name, files: 0, bytes: 0}));
  table?.packages.forEach((owner, row) => {
    if (owner === null) return;
    found[owner].files += 1;
    found[owner].bytes += table.sizes[row];
  });
  const known = Object.fromEntries((record.packages ?? []).map((one) => [one.name, one]));
  byId("packaged").hidden = !found.length;
  fill(byId("packages"), [["package"], ["version"], ["licence"], ["files", true], ["bytes", true]],
    found.sort((one, other) => other.bytes - one.bytes).map(({name, files, bytes}) => [
      printable(name), printable(known[name]?.version ?? ""), printable(known[name]?.licence ?? ""), String(files), human(bytes),
    ]));
}

function drawHints(image) {
  const told = {
    preset: (what) => `prune.presets = ["${what}"]`,
    equal: () => "copies of other files in the layer: hard links would do",
    debug: () => "debugging information: strip --strip-debug removes it",
  };
  byId("hinted").hidden = !image.hints.length;
  fill(byId("hints"), [["what"], ["files", true], ["bytes", true], ["about, compressed", true], ["such as"]], image.hints.map((hint) => [
    told[hint.kind](hint.what), String(hint.files), human(hint.bytes),
    hint.compressed === null ? "" : human(hint.compressed), printable(hint.examples[0] ?? ""),
  ]));
}

/** What kernels say to the image's modules: one row for each module and kernel, and what is wrong beside them. */
function drawVerdicts({verdicts}) {
  byId("judged").hidden = !verdicts;
  if (!verdicts) return;
  byId("fits").textContent = verdicts.fits.length
    ? `All modules load on ${verdicts.fits.map((release) => printable(release)).join(", ")}.` : "";
  const beside = verdicts.beside.map((reason) => [printable(verdicts.image), "", reason.weight, printable(reason.what)]);
  const rows = verdicts.kernels.flatMap((kernel) => kernel.modules.map((verdict) => [
    printable(verdict.path), printable(kernel.release || kernel.kernel), verdict.outcome,
    verdict.reasons.filter(({weight}) => weight !== "note").map(({what}) => printable(what)).join("; "),
  ]));
  fill(byId("kernels"), [["module"], ["kernel"], ["verdict"], ["why"]], [...beside, ...rows]);
}
