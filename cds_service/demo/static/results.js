// The form that adds a result to the chart.

import { byId, element, fill } from "./dom.js";
import { exactNumber } from "./exact.js";
import { create } from "./record.js";
import { localDay } from "./words.js";

const CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category";
const INTERPRETATIONS = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";

let tests = [];

function chosen() {
  return tests.find((test) => test.name === byId("test").value);
}

function follow() {
  const test = chosen();
  const measured = Boolean(test.units);
  byId("value-number").hidden = !measured;
  byId("value-unit").hidden = !measured;
  byId("value-word").hidden = measured;
  byId("number").required = measured;
  if (measured) fill("unit", test.units.map((unit) => element("option", { value: unit.code }, unit.printed)));
  else fill("word", test.words.map((word) => element("option", { value: word.code }, word.text)));
}

function observation(patientId) {
  const test = chosen();
  const made = {
    resourceType: "Observation",
    status: "final",
    category: [{ coding: [{ system: CATEGORIES, code: test.category }] }],
    code: { coding: [test.coding], text: test.text },
    subject: { reference: `Patient/${patientId}` },
    effectiveDateTime: byId("date").value,
  };
  if (test.units) {
    const [, comparator, number] = /^([<>]?=?) ?(.+)$/.exec(byId("number").value.trim());
    const unit = test.units.find((one) => one.code === byId("unit").value);
    made.valueQuantity = {
      value: exactNumber(number),
      ...(comparator && comparator !== "=" ? { comparator } : {}),
      unit: unit.printed,
      system: "http://unitsofmeasure.org",
      code: unit.code,
    };
  } else {
    const word = test.words.find((one) => one.code === byId("word").value);
    made.valueCodeableConcept = { coding: [{ system: "http://snomed.info/sct", code: word.code }], text: word.text };
    made.interpretation = [{ coding: [{ system: INTERPRETATIONS, code: word.interpretation }] }];
  }
  return [made, test];
}

// `added` is called with the test's name when the result is in the chart.
export function prepareForm(known, patientId, added, failed) {
  tests = known;
  fill("test", tests.map((test) => element("option", { value: test.name }, test.text)));
  byId("date").max = localDay();
  byId("date").value = localDay();
  byId("test").addEventListener("change", follow);
  follow();
  byId("add-result").addEventListener("submit", async (event) => {
    event.preventDefault();
    const [made, test] = observation(patientId());
    try {
      await create(made);
      byId("number").value = "";
      await added(test.text);
    } catch (error) {
      failed(error);
    }
  });
}
