// The desk: which patient is open, which order is being signed, and what came back.

import { carryOut } from "./actions.js";
import { card } from "./cards.js";
import { drugOf, showChart, showOrder } from "./chart.js";
import { coverageWritten } from "./coverage.js";
import { byId, element, fill } from "./dom.js";
import { parse, stringify } from "./exact.js";
import { launches } from "./launching.js";
import { readChart, read } from "./record.js";
import { prepareForm } from "./results.js";
import { callService, giveFeedback, signRequest } from "./signing.js";

const wide = matchMedia("(min-width: 60rem)");
let patients = [];
let open = null; // { patient, order, drug }
let wanted = ""; // the patient chosen last

function say(text) {
  byId("status").textContent = text;
}

function fold() {
  byId("patients-fold").open = wide.matches || open === null;
}

function showPatients() {
  byId("patients-count").textContent = `(${patients.length})`;
  fill("patients", patients.map((patient) =>
    element("li", {}, element(
      "a",
      { href: `#${patient.id}`, "aria-current": open?.patient.id === patient.id ? "true" : false },
      element("span", { class: "main" }, patient.title),
      element("span", { class: "quiet" }, patient.name),
    )),
  ));
}

async function drugName(order) {
  const reference = order.medicationReference?.reference;
  if (!reference) return drugOf(order);
  return drugOf(order, new Map([[reference, await read(reference)]]));
}

async function showOpenChart() {
  const { patient } = open;
  const chart = await readChart(patient.id);
  if (open?.patient === patient) showChart(chart);
}

async function openPatient(id) {
  const patient = patients.find((one) => one.id === id);
  if (!patient) return;
  wanted = id;
  const drug = await drugName(patient.order);
  if (wanted !== id) return; // another chart was chosen meanwhile
  open = { patient, order: patient.order, drug };
  showPatients();
  fold();
  byId("main").hidden = false;
  byId("answer").hidden = true;
  byId("sign").textContent = "Sign order";
  byId("patient-story").textContent = patient.text;
  fill("cards");
  fill("coverage-information");
  showWire(null, null);
  showOrder(open.order, open.drug);
  document.title = `${patient.name}: order entry, demo`;
  await showOpenChart();
  say(`${patient.name}'s chart is open.`);
}

function showWire(request, answer) {
  byId("request").textContent = request ? stringify(request, 2) : "";
  byId("response").textContent = answer ? (answer.body ? stringify(answer.body, 2) : answer.text) : "";
  byId("wire-facts").textContent = answer
    ? `POST /cds-services/order-sign-crd: HTTP ${answer.status}, ${Math.round(answer.seconds * 1000)} ms`
    : "Nothing has been sent yet.";
}

async function accept(given, suggestion) {
  try {
    open.order = await carryOut(suggestion.actions ?? [], open.order);
  } catch (error) {
    return `could not be carried out. ${error.message}`;
  }
  showOrder(open.order, open.drug);
  await showOpenChart();
  say(`Accepted: ${suggestion.label}`);
  await giveFeedback({ card: given.uuid, outcome: "accepted", acceptedSuggestions: [{ id: suggestion.uuid }] });
  return "";
}

async function override(given, reason) {
  say("Set aside.");
  await giveFeedback({ card: given.uuid, outcome: "overridden", overrideReason: { reason } });
}

async function showAnswer(answer) {
  const { body } = answer;
  byId("answer").hidden = false;
  byId("answer-time").textContent = `Answered in ${answer.seconds < 0.1 ? "less than 0.1" : answer.seconds.toFixed(1)} s`;
  if (answer.status !== 200 || !body) {
    const reason = body?.issue?.map((issue) => issue.diagnostics ?? issue.details?.text).filter(Boolean).join(" ");
    fill("cards", element("p", { class: "problem" },
      answer.status === 0 ? "The plan could not be reached. " : "The plan gave no usable answer. ",
      "The order can be signed without it.", reason ? ` (${reason})` : ""));
    fill("coverage-information");
    return say("The plan gave no usable answer.");
  }
  open.order = await carryOut(body.systemActions ?? [], open.order);
  const apps = await launches(body.cards ?? [], open.patient, open.order);
  const launch = (given) => apps.get(given) ?? given.url;
  const cards = (body.cards ?? []).map((one) => card(one, { accept, override, launch }));
  const written = coverageWritten(open.order);
  const nothing = cards.length || written.length ? null : "The plan has nothing to say about this order.";
  fill("cards", cards, nothing && element("p", {}, nothing));
  fill("coverage-information", written);
  return say(nothing ?? `The plan answered: ${(body.cards ?? []).map((one) => one.summary).join(". ") || "see the order."}`);
}

async function sign() {
  const button = byId("sign");
  const { patient } = open;
  button.disabled = true;
  byId("answer").setAttribute("aria-busy", "true");
  say("Asking the plan…");
  try {
    const request = await signRequest(patient, open.order, byId("prefetch").value);
    showWire(request, null);
    const answer = await callService(request);
    if (open?.patient !== patient) return;
    showWire(request, answer);
    await showAnswer(answer);
    await showOpenChart();
    button.textContent = "Sign again";
    byId("answer-title").focus({ preventScroll: true });
    byId("answer").scrollIntoView({ block: "nearest" });
  } catch (error) {
    say(`The order could not be sent: ${error.message}`);
  } finally {
    button.disabled = false;
    byId("answer").removeAttribute("aria-busy");
  }
}

async function load(path, options) {
  const answer = await fetch(path, options);
  const { patients: found, tests } = parse(await answer.text());
  patients = found;
  return tests;
}

async function reset() {
  await load("/demo/api/reset", { method: "POST" });
  await openPatient(open?.patient.id ?? "");
  showPatients();
  say("The sample data is as it was at the start.");
}

async function start() {
  const tests = await load("/demo/api/patients");
  prepareForm(
    tests,
    () => open.patient.id,
    async (test) => {
      await showOpenChart();
      say(`${test} was added to the chart. Sign again to see what changes.`);
    },
    (error) => say(`The result could not be added: ${error.message}`),
  );
  byId("sign").addEventListener("click", sign);
  byId("reset").addEventListener("click", reset);
  addEventListener("hashchange", async () => {
    try {
      await openPatient(location.hash.slice(1));
      if (!wide.matches) byId("patient-name").focus(); // the list, and the focus in it, has been folded away
    } catch (error) {
      say(`The chart could not be opened: ${error.message}`);
    }
  });
  wide.addEventListener("change", fold);
  addEventListener("focus", () => open && showOpenChart().catch(() => {})); // back from the form: it may have written
  showPatients();
  await openPatient(location.hash.slice(1) || patients[0].id);
}

start().catch((error) => say(`The page could not be loaded: ${error.message}`));
