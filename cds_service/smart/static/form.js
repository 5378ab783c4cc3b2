// What a browser can do beside the form, which works without it: questions that do not arise are out of sight, and
// nobody leaves with answers that are not saved.

const form = document.getElementById("questions");
const parts = [...form.querySelectorAll("[data-when]")];
let dirty = false;

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
  if (value === "" || Number.isNaN(number)) return false;
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

document.documentElement.classList.add("js");
form.addEventListener("input", () => {
  dirty = true;
  follow();
});
form.addEventListener("submit", () => {
  dirty = false;
});
addEventListener("beforeunload", (event) => {
  if (dirty) event.preventDefault();
});
follow();
document.getElementById("errors")?.focus();
