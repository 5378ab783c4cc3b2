// What an accepted suggestion or the plan's own action does to the chart and to the order.

import { create, remove, update } from "./record.js";

const REQUESTS = new Set(["ServiceRequest", "MedicationRequest", "DeviceRequest"]);

// References to a resource that was made in the same suggestion follow it to its new id.
function relinked(value, made) {
  if (Array.isArray(value)) return value.map((one) => relinked(one, made));
  if (!value || typeof value !== "object" || "rawJSON" in value) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === "reference" && made.has(inner) ? made.get(inner) : relinked(inner, made),
    ]),
  );
}

// The order after the actions: itself, or as the plan updated it. Everything else goes to the record.
export async function carryOut(actions, order) {
  const made = new Map();
  let current = order;
  for (const action of actions) {
    const resource = action.resource && relinked(action.resource, made);
    if (action.type === "delete") await remove(action.resourceId);
    else if (action.type === "create") {
      // Accepting is ordering: what is proposed as a draft becomes an order that is under way.
      const ordered = REQUESTS.has(resource.resourceType) && resource.status === "draft";
      const stored = await create(ordered ? { ...resource, status: "active" } : resource);
      if (resource.id) made.set(`${resource.resourceType}/${resource.id}`, `${stored.resourceType}/${stored.id}`);
    } else if (resource?.resourceType === order.resourceType && resource?.id === order.id) current = resource;
    else if (resource) await update(resource);
  }
  return current;
}
