// The record system's own data: reads, searches with all their pages, and writes.

import { parse, stringify } from "./exact.js";

export const BASE = new URL("/demo/fhir", location.origin).href;

export class RecordProblem extends Error {
  constructor(status, outcome) {
    super(`The record system answered ${status}.`);
    this.status = status;
    this.outcome = outcome;
  }
}

async function call(method, url, resource) {
  const headers = { Accept: "application/fhir+json" };
  if (resource) headers["Content-Type"] = "application/fhir+json";
  const answer = await fetch(url, { method, headers, body: resource && stringify(resource) });
  const body = parse(await answer.text());
  if (!answer.ok) throw new RecordProblem(answer.status, body);
  return body;
}

export function read(path) {
  return call("GET", `${BASE}/${path}`);
}

export async function search(path) {
  const found = [];
  let url = `${BASE}/${path}`;
  while (url) {
    const bundle = await call("GET", url);
    for (const entry of bundle.entry ?? []) if (entry.search?.mode !== "include") found.push(entry.resource);
    url = bundle.link?.find((link) => link.relation === "next")?.url;
  }
  return found;
}

export function create(resource) {
  return call("POST", `${BASE}/${resource.resourceType}`, resource);
}

export function update(resource) {
  return call("PUT", `${BASE}/${resource.resourceType}/${resource.id}`, resource);
}

export function remove(reference) {
  return call("DELETE", `${BASE}/${reference}`);
}

// The whole chart of one patient. A part that cannot be read is null, which is not the same as empty.
export async function readChart(patientId) {
  const searches = {
    results: `Observation?patient=${patientId}&_sort=-date,_id&_count=200`,
    problems: `Condition?patient=${patientId}&_sort=-onset-date&_count=200`,
    requests: `MedicationRequest?patient=${patientId}&_sort=-authoredon&_count=200`,
    statements: `MedicationStatement?patient=${patientId}&_count=200`,
    given: `MedicationAdministration?patient=${patientId}&_sort=-effective-time&_count=200`,
    orders: `ServiceRequest?patient=${patientId}&_sort=-authored&_count=200`,
    documents: `DocumentReference?patient=${patientId}&_sort=-date&_count=200`,
    forms: `QuestionnaireResponse?patient=${patientId}&_sort=-authored&_count=200`,
    coverages: `Coverage?patient=${patientId}`,
  };
  const names = Object.keys(searches);
  const [person, ...parts] = await Promise.all([
    read(`Patient/${patientId}`),
    ...names.map((name) => search(searches[name]).catch(() => null)),
  ]);
  return { person, ...Object.fromEntries(names.map((name, place) => [name, parts[place]])) };
}
