// Markdown as elements: headings, lists, tables, quotes, bold, italics, code and web links. HTML in it stays text.

import { element, link } from "./dom.js";

const INLINE = /\\([\\`*_{}[\]()#+\-.!|<>~])|`([^`]+)`|\*\*(.+?)\*\*|__(.+?)__|\*([^*\s](?:[^*]*[^*\s])?)\*|\[([^\]]+)\]\(([^()\s]+(?:\([^()]*\)[^()\s]*)*)\)|<(https?:\/\/[^>\s]+)>/g;
const ENTITIES = { "&lt;": "<", "&gt;": ">", "&amp;": "&", "&quot;": '"', "&#39;": "'", "&nbsp;": " " };
const ITEM = /^(\s*)([-*+]|\d+[.)])\s+(.*)$/;
const RULE = /^\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$/;
const HEADING = /^(#{1,6})\s+(.*?)\s*#*$/;

function plain(text) {
  return text.replace(/&(lt|gt|amp|quot|#39|nbsp);/g, (found) => ENTITIES[found]);
}

export function inline(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    if (found.index > end) parts.push(plain(text.slice(end, found.index)));
    const [, escaped, code, bold, bold2, italic, label, url, address] = found;
    if (escaped !== undefined) parts.push(escaped);
    else if (code !== undefined) parts.push(element("code", {}, code));
    else if (bold !== undefined || bold2 !== undefined) parts.push(element("strong", {}, inline(bold ?? bold2)));
    else if (italic !== undefined) parts.push(element("em", {}, inline(italic)));
    else if (label !== undefined) parts.push(link(url, plain(label)));
    else parts.push(link(address, address));
    end = found.index + found[0].length;
  }
  if (end < text.length) parts.push(plain(text.slice(end)));
  return parts;
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => inline(cell.trim()));
}

function table(lines) {
  const head = cells(lines[0]);
  const titles = head.map((cell) => element("th", { scope: "col" }, cell));
  const rows = lines.slice(2).map((line) => element("tr", {}, cells(line).map((cell) => element("td", {}, cell))));
  const made = element("table", {}, element("thead", {}, element("tr", {}, titles)), element("tbody", {}, rows));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" }, made);
}

function list(lines) {
  const [, indent, marker] = ITEM.exec(lines[0]);
  const ordered = /\d/.test(marker);
  const items = [];
  for (const line of lines) {
    const found = ITEM.exec(line);
    if (found && found[1].length <= indent.length) items.push({ text: [found[3]], inner: [] });
    else if (found || items.at(-1).inner.length) items.at(-1).inner.push(line);
    else items.at(-1).text.push(line.trim());
  }
  const made = items.map((item) =>
    element("li", {}, inline(item.text.join(" ")), item.inner.length ? list(item.inner) : null));
  return element(ordered ? "ol" : "ul", {}, made);
}

// Takes lines as long as they belong; returns them and moves on.
function take(lines, belongs) {
  const taken = [];
  while (lines.length && belongs(lines[0])) taken.push(lines.shift());
  return taken;
}

function paragraph(lines) {
  const parts = [];
  lines.forEach((line, place) => {
    parts.push(...inline(line.trim()));
    if (place < lines.length - 1) parts.push(/ {2}$|\\$/.test(line) ? element("br") : " ");
  });
  return element("p", {}, parts);
}

export function markdown(text) {
  const made = document.createDocumentFragment();
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  while (lines.length) {
    const line = lines[0];
    const heading = HEADING.exec(line);
    if (!line.trim()) lines.shift();
    else if (heading) {
      lines.shift();
      made.append(element(`h${Math.min(heading[1].length + 3, 6)}`, {}, inline(heading[2])));
    } else if (/^\s*([-*_])(\s*\1){2,}\s*$/.test(line)) {
      lines.shift();
      made.append(element("hr"));
    } else if (line.includes("|") && RULE.test(lines[1] ?? "")) {
      made.append(table(take(lines, (next) => next.includes("|"))));
    } else if (ITEM.test(line)) {
      made.append(list(take(lines, (next) => ITEM.test(next) || /^\s{2,}\S/.test(next))));
    } else if (/^\s*>/.test(line)) {
      const quoted = take(lines, (next) => /^\s*>/.test(next)).map((next) => next.replace(/^\s*> ?/, ""));
      made.append(element("blockquote", {}, markdown(quoted.join("\n"))));
    } else {
      const first = lines.shift();
      const rest = take(lines, (next) =>
        next.trim() && !HEADING.test(next) && !ITEM.test(next) && !/^\s*>/.test(next) &&
        !(next.includes("|") && RULE.test(lines[1] ?? "")));
      made.append(paragraph([first, ...rest]));
    }
  }
  return made;
}
