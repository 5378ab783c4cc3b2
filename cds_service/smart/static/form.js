// What a browser can do beside the form, which works without it: questions that do not arise are out of sight, the
// plan's answer follows what is typed, and nobody leaves with answers that are not saved.

const form = document.getElementById("questions");
const parts = [...form.querySelectorAll("[data-when]")];
let dirty = false;
let isSent = false;
let asking = null;

function said(name) {
  const chosen = [...form.elements].filter((one) => one.name === name && !one.disabled);
  for (const one of chosen) {
    if (one.type === "radio" || one.type === "checkbox") {
      if (one.checked) return one.value;
    } else return one.value.trim();
  }
  return "";
}

function holds({ q, op, v }) {
  const value = said(q);
  if (op === "=") return value === v;
  if (op === "!=") return value !== v;
  const number = Number(value.replace(/^[<>]=?\s*/, ""));
  if (value === "") return false;
  if (Number.isNaN(number)) return true; // mistyped: what was filled in below it stays, until that is put right
  return op === ">" ? number > Number(v) : number >= Number(v);
}

function follow() {
  for (let again = true; again; ) {
    again = false;
    for (const part of parts) {
      const met = JSON.parse(part.dataset.when).map(holds);
      const asked = part.dataset.any === "yes" ? met.some(Boolean) : met.every(Boolean);
      if (part.hidden !== asked || part.classList.contains("wrong")) continue;
      part.hidden = !asked;
      for (const one of part.querySelectorAll("input, textarea")) one.disabled = !asked;
      again = true;
    }
  }
}

// What is typed, without the files: only which ones are chosen.
function typed() {
  const sent = new FormData();
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string") sent.append(name, value);
    else if (value.name) sent.append("chosen", name);
  }
  return sent;
}

function put(part) {
  const old = document.getElementById(part.id);
  if (!old || old.outerHTML === part.outerHTML) return;
  if (part.id === "so-far") old.textContent = part.textContent; // the same element, or it would not be read out
  else old.replaceWith(part);
  if (part.classList.contains("state")) part.parentElement.classList.replace(old.classList[1], part.classList[1]);
}

// A file that would be refused is not even sent: with several such, no answer could have what was typed on it.
function checkSize(field) {
  const isLarge = field.files.length > 0 && field.files[0].size > Number(field.dataset.largest);
  const shown = field.parentElement.querySelector(".too-large");
  if (!isLarge) return field.files.length > 0 && shown?.remove();
  const text = shown ?? Object.assign(document.createElement("p"), { className: "error too-large" });
  text.setAttribute("role", "alert");
  field.after(text);
  text.textContent = `${field.files[0].name}: ${field.dataset.tooLarge}`;
  field.value = "";
}

async function ask() {
  asking?.abort();
  const own = (asking = new AbortController());
  const where = form.getAttribute("action");
  try {
    const reply = await fetch(`${where}/answer`, { method: "POST", body: typed(), signal: own.signal });
    if (own.signal.aborted) return;
    if (!reply.ok) throw new Error(reply.statusText);
    const found = new DOMParser().parseFromString(await reply.text(), "text/html");
    if (!own.signal.aborted) [...found.body.children].forEach(put);
  } catch {
    const soFar = document.getElementById("so-far");
    if (!own.signal.aborted && soFar) soFar.textContent = "The answer could not be brought up to date. Saving does.";
  }
}

document.documentElement.classList.add("js");
form.addEventListener("input", ({ target }) => {
  dirty = true;
  if (target.type === "file") checkSize(target);
  follow();
});
if (document.getElementById("answer")) form.addEventListener("change", ask);
form.addEventListener("submit", (event) => {
  if (isSent) return event.preventDefault(); // a double click is one form
  isSent = true;
  dirty = false;
  asking?.abort();
});
addEventListener("pageshow", () => {
  isSent = false;
});
addEventListener("beforeunload", (event) => {
  if (dirty) event.preventDefault();
});
follow();
document.getElementById("errors")?.focus();
