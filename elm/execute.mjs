// {"elm", "day", "bundles"} on standard input; what each statement says of each patient on standard output.
import { readFileSync } from "node:fs";
import fhir from "cql-exec-fhir";
import cql from "cql-execution";

const { elm, day, bundles } = JSON.parse(readFileSync(0, "utf8"));
const source = fhir.PatientSource.FHIRv401();
source.loadBundles(bundles);
const executor = new cql.Executor(new cql.Library(elm));
const noon = cql.DateTime.parse(`${day}T12:00:00.000+00:00`);
const results = await executor.exec(source, noon);
process.stdout.write(JSON.stringify(results.patientResults));
