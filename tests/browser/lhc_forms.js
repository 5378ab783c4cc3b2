// Shows the questionnaire of ?url= in LHC-Forms as an EHR does that has a chart open (?base= and ?patient=).

const asked = new URLSearchParams(location.search);

async function json(url) {
  return (await fetch(new URL(url, `${asked.get("base")}/`))).json();
}

async function show() {
  const questionnaire = await json(asked.get("url"));
  if (asked.has("patient")) {
    const patient = await json(`Patient/${asked.get("patient")}`);
    const request = (one) => json(typeof one === "string" ? one : one.url);
    const client = {
      state: { serverUrl: asked.get("base") },
      patient: { id: patient.id, read: async () => patient, request },
      user: { read: async () => null },
      request,
      getFhirVersion: async () => "4.0.1",
      getFhirRelease: async () => 4,
    };
    LForms.Util.setFHIRContext(client, { patient });
  }
  const form = LForms.Util.convertFHIRQuestionnaireToLForms(questionnaire, "R4");
  await LForms.Util.addFormToPage(form, "form", { prepopulate: asked.has("patient") });
  document.title = "shown";
}

show().catch((error) => {
  document.title = String(error);
});
