// Dates, values and names of chart entries in a reader's words.

import { digits } from "./exact.js";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// "2026-11-24T09:15:00-05:00" is 24 Nov 2026: the day as it was written, whatever the reader's time zone.
export function day(text) {
  const found = /^(\d{4})(?:-(\d\d)(?:-(\d\d))?)?/.exec(text ?? "");
  if (!found) return "";
  const [, year, month, date] = found;
  return [date && String(Number(date)), month && MONTHS[Number(month) - 1], year].filter(Boolean).join(" ");
}

export function concept(value) {
  return value?.text ?? value?.coding?.find((coding) => coding.display)?.display ?? value?.coding?.[0]?.code ?? "";
}

export function quantity(value) {
  if (!value) return "";
  return [`${value.comparator ?? ""}${digits(value.value)}`, value.unit].filter(Boolean).join(" ");
}

export function resultValue(observation) {
  if (observation.valueQuantity) return quantity(observation.valueQuantity);
  if (observation.valueCodeableConcept) return concept(observation.valueCodeableConcept);
  return observation.valueString ?? "no value";
}

export function when(resource) {
  return (
    resource.effectiveDateTime ?? resource.effectivePeriod?.start ?? resource.authoredOn ?? resource.date ??
    resource.authored ?? resource.onsetDateTime ?? resource.recordedDate ?? ""
  );
}

export function age(birthDate, today = new Date()) {
  const [year, month, date] = birthDate.split("-").map(Number);
  const before = today.getMonth() + 1 < month || (today.getMonth() + 1 === month && today.getDate() < date);
  return today.getFullYear() - year - (before ? 1 : 0);
}

export function localDay(moment = new Date()) {
  const two = (number) => String(number).padStart(2, "0");
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
}
