// How an app is launched from a card: the record system notes what is open, and gives the app a name for that.

import { stringify } from "./exact.js";
import { BASE } from "./record.js";

async function noted(patient, order, link) {
  try {
    const answer = await fetch("/demo/auth/launch", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: stringify({
        patient: patient.id,
        encounter: patient.encounterId,
        appContext: link.appContext,
        order: order.status === "draft" ? order : undefined,
      }),
    });
    return answer.ok ? (await answer.json()).launch : "";
  } catch {
    return "";
  }
}

// Link → the address that launches its app, for every app that the cards have.
export async function launches(cards, patient, order) {
  const links = cards.flatMap((card) => card.links ?? []).filter((link) => link.type === "smart");
  const urls = await Promise.all(links.map(async (link) => {
    const url = new URL(link.url, location.origin);
    url.searchParams.set("iss", BASE);
    url.searchParams.set("launch", await noted(patient, order, link));
    return url.href;
  }));
  return new Map(links.map((link, place) => [link, urls[place]]));
}
