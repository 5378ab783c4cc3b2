// The call that is made when an order is signed, and the feedback afterwards.

import { parse, stringify } from "./exact.js";
import { BASE } from "./record.js";

const SERVICES = new URL("/cds-services", location.origin).href;
const SERVICE = "order-sign-crd";

export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// The template with this call's values; null where it asks for something that this record system cannot fill in.
function resolved(template, context) {
  const known = {
    "context.patientId": context.patientId,
    "context.encounterId": context.encounterId,
    "context.userId": context.userId,
    userPractitionerId: context.userId.replace("Practitioner/", ""),
  };
  let complete = true;
  const path = template.replace(/\{\{([^{}]+)\}\}/g, (_, token) => {
    const value = known[token.trim()];
    if (value === undefined) complete = false;
    return value ?? "";
  });
  return complete ? path : null;
}

async function fetched(path) {
  const answer = await fetch(`${BASE}/${path}`, { headers: { Accept: "application/fhir+json" } });
  if (answer.status === 404 || answer.status === 410) return null;
  return parse(await answer.text()); // an OperationOutcome where the search failed
}

// `share` is all, half or none of what the service's discovery asks for.
async function prefetch(share, context) {
  if (share === "none") return undefined;
  const discovery = await (await fetch(SERVICES)).json();
  const asked = discovery.services?.find((service) => service.id === SERVICE)?.prefetch ?? {};
  const usable = Object.entries(asked)
    .map(([key, template]) => [key, resolved(template, context)])
    .filter(([, path]) => path !== null)
    .filter((_, place) => share === "all" || place % 2 === 0);
  return Object.fromEntries(await Promise.all(usable.map(async ([key, path]) => [key, await fetched(path)])));
}

export async function signRequest(patient, order, share) {
  const context = {
    userId: patient.userId,
    patientId: patient.id,
    encounterId: patient.encounterId,
    draftOrders: {
      resourceType: "Bundle",
      type: "collection",
      entry: [{ fullUrl: `${BASE}/${order.resourceType}/${order.id}`, resource: order }],
    },
  };
  const sent = await prefetch(share, context);
  return { hook: "order-sign", hookInstance: uuid(), fhirServer: BASE, context, ...(sent ? { prefetch: sent } : {}) };
}

// { status, text, body, seconds }; status 0 when nobody answered, body null when it is not JSON.
export async function callService(request) {
  const started = performance.now();
  const spent = () => (performance.now() - started) / 1000;
  try {
    const answer = await fetch(`${SERVICES}/${SERVICE}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: stringify(request),
    });
    const text = await answer.text();
    let body = null;
    try {
      body = parse(text);
    } catch {
      body = null;
    }
    return { status: answer.status, text, body, seconds: spent() };
  } catch (error) {
    return { status: 0, text: String(error), body: null, seconds: spent() };
  }
}

// Best effort: a prescriber is not held up by feedback that cannot be delivered.
export async function giveFeedback(feedback) {
  try {
    await fetch(`${SERVICES}/${SERVICE}/feedback`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: stringify({ feedback: [{ ...feedback, outcomeTimestamp: new Date().toISOString() }] }),
    });
  } catch {
    return;
  }
}
