"use strict";
// Sizes, times, colours, and elements whose text is text: nothing in this page is ever made from markup.

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Bytes in three significant digits, as assembler/model/size.py writes them. */
function human(size) {
  let value = Math.abs(size), power = 0;
  const sign = size < 0 ? "-" : "";
  if (value < 1000) return `${sign}${value} B`;
  while (value >= 999.5 && power < UNITS.length - 1) { value /= 1000; power += 1; }
  const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${sign}${value.toFixed(digits)} ${UNITS[power]}`;
}

function duration(seconds) {
  if (seconds < 59.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds), minutes = Math.floor(whole / 60);
  const two = (number) => String(number).padStart(2, "0");
  return minutes < 60 ? `${minutes}m ${two(whole % 60)}s` : `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
}

function percent(part, whole) {
  return whole ? `${(100 * part / whole).toFixed(part / whole < 0.0995 ? 1 : 0)} %` : "";
}

function count(number, noun) { return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`; }

/** Control and direction characters in a name, made visible. */
function printable(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => `\\u${char.codePointAt(0).toString(16).padStart(4, "0")}`);
}

/** element("td", {class: "number"}, "text", child, ...) */
function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(made.style, value);
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...content.filter((part) => part !== null && part !== undefined));
  return made;
}

function byId(id) { return document.getElementById(id); }

function swatch(color) { return element("span", {class: "swatch", style: {background: color}}); }

/** Black or white, whichever reads better on #rrggbb. */
function ink(color) {
  const part = (start) => parseInt(color.slice(start, start + 2), 16);
  return 299 * part(1) + 587 * part(3) + 114 * part(5) > 140000 ? "#000" : "#fff";
}
