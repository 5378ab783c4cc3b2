// What the plan wrote onto the order, in plain words.

import { element, facts, link } from "./dom.js";
import { digits } from "./exact.js";
import { day, quantity } from "./words.js";

const COVERED = {
  covered: "Covered by the plan",
  "not-covered": "Not covered by the plan",
  conditional: "Coverage depends on more information",
  indeterminate: "The plan could not tell whether this is covered",
};
const AUTHORIZATION = {
  "auth-needed": "Needed before treatment",
  "no-auth": "Not needed",
  satisfied: "Given",
  performpa: "Needed; request it with the treating center",
  conditional: "Depends on more information",
  indeterminate: "Could not be determined",
};
const DOCUMENTATION = {
  clinical: "Clinical documents are needed",
  admin: "Administrative details are needed",
  both: "Clinical documents and administrative details are needed",
  patient: "Information from the patient is needed",
  conditional: "May be needed, depending on more information",
  indeterminate: "Could not be determined",
  "no-doc": "Nothing needed",
};
const PURPOSE = {
  withpa: "send them with the request for authorization",
  withclaim: "send them with the claim",
  withorder: "send them with the order",
  "retain-doc": "keep them in the chart",
  OTH: "see the note",
};
const INFORMATION = {
  performer: "who will treat",
  location: "where treatment takes place",
  timeframe: "when treatment takes place",
  "contract-window": "dates of the contract",
  "detail-code": "a more exact code",
  OTH: "see why, below",
};
const DETAIL = {
  "allowed-quantity": "Allowed quantity",
  "allowed-period": "Allowed period",
  "policy-link": "Policy",
};

export function informationOn(order) {
  return (order.extension ?? []).filter((one) => one.url?.endsWith("/ext-coverage-information")).map(byName);
}

function valueOf(extension) {
  const name = Object.keys(extension).find((key) => key.startsWith("value"));
  return name && extension[name];
}

// Sub-extensions by name, each a list.
function byName(extension) {
  const found = {};
  for (const part of extension.extension ?? []) {
    (found[part.url] ??= []).push(part.extension ? byName(part) : valueOf(part));
  }
  return found;
}

function period({ start, end }) {
  return [start && `from ${day(start)}`, end && `to ${day(end)}`].filter(Boolean).join(" ");
}

function shown(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "object" || "rawJSON" in value) {
    const text = digits(value);
    return /^https?:/.test(text) ? link(text, "Read it") : text;
  }
  if ("start" in value || "end" in value) return period(value);
  if ("value" in value) return quantity(value);
  return value.text ?? value.display ?? value.coding?.[0]?.display ?? value.code ?? value.reference ?? "";
}

function details(found) {
  return (found.detail ?? []).map((one) => {
    const concept = one.code?.[0];
    const code = concept?.coding?.[0]?.code ?? concept?.code ?? concept;
    const term = DETAIL[code] ?? concept?.text ?? "Note";
    const more = one.qualification?.[0];
    return [term, [shown(one.value?.[0]), more ? ` (${more})` : ""]];
  });
}

function contact(value) {
  if (!value) return "";
  const ways = value.telecom ?? (value.value ? [value] : []);
  return [value.name, ...ways.map((way) => way.value)].filter(Boolean).join(", ");
}

function documentation(found) {
  const needed = (found["doc-needed"] ?? []).map((code) => DOCUMENTATION[code] ?? code).join("; ");
  const purpose = (found["doc-purpose"] ?? []).map((code) => PURPOSE[code] ?? code).join("; ");
  return needed && purpose ? `${needed}: ${purpose}` : needed;
}

export function coverageWritten(order) {
  return informationOn(order).map((found) => {
    const covered = found.covered?.[0];
    return element(
      "section",
      { class: `written ${covered === "covered" ? "covered" : ""}`, "aria-label": "Coverage information written to the order" },
      element("h3", {}, "Coverage information written to the order"),
      element("p", { class: "lead" }, COVERED[covered] ?? covered ?? "Coverage"),
      element("dl", { class: "facts" }, facts([
        ["Authorization", AUTHORIZATION[found["pa-needed"]?.[0]] ?? found["pa-needed"]?.[0]],
        ["Authorization number", found["satisfied-pa-id"]?.[0]],
        ["Good until", day(found["expiry-date"]?.[0])],
        ["Documents", documentation(found)],
        ["Still to be known", (found["info-needed"] ?? []).map((code) => INFORMATION[code] ?? code).join(", ")],
        ["Why", (found.reason ?? []).map(shown).join(" ")],
        ["Form", found.questionnaire ? "The plan's form for this drug; most of it fills itself from the chart" : ""],
        ...details(found),
        ["Billing code", (found.billingCode ?? []).map((coding) => coding.code).join(", ")],
        ["Goes with", (found.dependency ?? []).map(shown).join(", ")],
        ["Ask", (found.contact ?? []).map(contact).join("; ")],
        ["Checked", day(found.date?.[0])],
        ["Plan's reference", found["coverage-assertion-id"]?.[0]],
      ])),
    );
  });
}
