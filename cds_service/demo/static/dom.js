// Elements from values: text always goes in as text, so nothing that a server sends can become markup.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export function byId(id) {
  return document.getElementById(id);
}

export function fill(id, ...children) {
  byId(id).replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

// A list of terms; rows without a value are left out.
export function facts(rows) {
  return rows
    .filter(([, value]) => value !== undefined && value !== null && value !== "")
    .flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, ...[value].flat())]);
}

// Only web addresses become links; anything else stays text.
export function link(url, label, attributes = {}) {
  let safe = null;
  try {
    const parsed = new URL(url, document.baseURI);
    if (parsed.protocol === "https:" || parsed.protocol === "http:") safe = parsed.href;
  } catch {
    safe = null;
  }
  if (safe === null) return document.createTextNode(label);
  return element("a", { href: safe, target: "_blank", rel: "noopener noreferrer", ...attributes }, label);
}
