// The chart and the order as a prescriber sees them.

import { byId, element, facts, fill } from "./dom.js";
import { age, concept, day, quantity, resultValue, when } from "./words.js";

const UNREADABLE = "This part of the chart could not be loaded.";

function listed(id, resources, row, empty) {
  if (resources === null) return fill(id, element("p", { class: "problem" }, UNREADABLE));
  if (resources.length === 0) return fill(id, element("p", { class: "quiet" }, empty));
  return fill(id, element("ul", { class: "entries" }, resources.map((one) => element("li", {}, row(one)))));
}

function entry(main, ...more) {
  return [element("span", { class: "main" }, main), element("span", { class: "quiet" }, more.filter(Boolean).join(" · "))];
}

function showResults(results) {
  if (results === null) return fill("results", element("p", { class: "problem" }, UNREADABLE));
  if (results.length === 0) return fill("results", element("p", { class: "quiet" }, "No results."));
  const head = ["Test", "Value", "Date"].map((title) => element("th", { scope: "col" }, title));
  const rows = results.map((one) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, concept(one.code), one.status === "preliminary" ? " (preliminary)" : ""),
      element("td", {}, resultValue(one)),
      element("td", { class: "date" }, day(when(one))),
    ),
  );
  const table = element("table", { class: "results" }, element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows));
  return fill("results", table);
}

function medications({ requests, statements, given }) {
  if (requests === null && statements === null && given === null) return null;
  const kinds = [
    [requests, "Ordered", (one) => one.dosageInstruction?.[0]?.text],
    [statements, "Taken at home", (one) => one.dosage?.[0]?.text],
    [given, "Given here", (one) => quantity(one.dosage?.dose)],
  ];
  return kinds.flatMap(([resources, kind, dose]) => (resources ?? []).map((one) => ({ one, kind, dose: dose(one) })));
}

export function showChart(chart) {
  const { person } = chart;
  byId("patient-name").textContent = person.name[0].text;
  byId("patient-facts").textContent =
    `Born ${day(person.birthDate)} (${age(person.birthDate)} years) · ${person.gender}`;
  showResults(chart.results);
  listed("problems", chart.problems, (one) => {
    const state = one.clinicalStatus?.coding?.[0]?.code;
    return entry(concept(one.code), `since ${day(when(one))}`, state);
  }, "No problems on the list.");
  listed("medications", medications(chart), ({ one, kind, dose }) => {
    const since = day(when(one)) || day(one.effectivePeriod?.start);
    return entry(concept(one.medicationCodeableConcept) || "See order", kind, dose, since);
  }, "No medications.");
  byId("orders-panel").hidden = !chart.orders?.length;
  listed("orders", chart.orders, (one) => entry(concept(one.code), one.status, day(when(one))), "No tests ordered.");
  const documents = chart.documents && chart.forms && [...chart.documents, ...chart.forms];
  listed("documents", documents, (one) => {
    const isForm = one.resourceType === "QuestionnaireResponse";
    const title = isForm ? "The plan's form, answered by the prescriber" : one.description ?? concept(one.type);
    const file = one.description ? "" : one.content?.[0]?.attachment?.title;
    return entry(title, day(when(one)), isForm ? one.status : file);
  }, "No documents.");
  listed("coverage", chart.coverages, (one) => {
    const plan = one.class?.find((part) => part.type?.coding?.[0]?.code === "plan");
    return entry(`${one.payor?.[0]?.display ?? "Payer"}: ${plan?.name ?? concept(one.type)}`,
      concept(one.type), `member ${one.subscriberId ?? "unknown"}`, one.status);
  }, "No coverage.");
}

export function drugOf(order, drugs = new Map()) {
  const reference = order.medicationReference?.reference;
  return concept(order.medicationCodeableConcept) || concept(drugs.get(reference)?.code) || "See order";
}

export function showOrder(order, drug) {
  const dosage = order.dosageInstruction?.[0];
  const supply = order.dispenseRequest;
  const refills = supply?.numberOfRepeatsAllowed;
  fill("order-facts", facts([
    ["Drug", element("strong", {}, drug)],
    ["Dose", dosage?.text],
    ["Supply", [quantity(supply?.quantity), refills === undefined ? "" : refills ? `${refills} refills` : "no refills"]
      .filter(Boolean).join(", ")],
    ["For", (order.reasonCode ?? []).map(concept).join(", ")],
    ["Ordered by", order.requester?.display],
    ["Date", day(order.authoredOn)],
  ]));
}
