// {"elm", "day", "bundle", "runs"} on standard input; on standard output the milliseconds of each evaluation, and how
// many statements said something. The engine is warm before its clock starts.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../elm/package.json", import.meta.url));
const cql = require("cql-execution");
const fhir = require("cql-exec-fhir");

const { elm, day, bundle, runs } = JSON.parse(readFileSync(0, "utf8"));
const executor = new cql.Executor(new cql.Library(elm));
const noon = cql.DateTime.parse(`${day}T12:00:00.000+00:00`);

async function evaluated() {
  const source = fhir.PatientSource.FHIRv401();
  source.loadBundles([bundle]);
  return (await executor.exec(source, noon)).patientResults;
}

const found = Object.values(await evaluated())[0];
const until = performance.now() + 2000;
while (performance.now() < until) await evaluated();
const milliseconds = [];
for (let run = 0; run < runs; run++) {
  const started = performance.now();
  await evaluated();
  milliseconds.push(performance.now() - started);
}
const said = Object.values(found).filter((value) => value !== null && value !== undefined).length;
process.stdout.write(JSON.stringify({ milliseconds, said }));
