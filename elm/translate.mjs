// CQL on standard input, ELM as JSON on standard output; exit code 1 with the translator's messages when it has errors.
import { readFileSync } from "node:fs";
import { SystemModelInfoProvider } from "@cqframework/cql/cql";
import {
  CqlCompilerOptions,
  CqlTranslator,
  LibraryBuilder,
  LibraryManager,
  ModelManager,
  createModelInfoProvider,
  createUcumService,
  stringAsSource,
} from "@cqframework/cql/cql-to-elm";
import fhir from "cql-exec-fhir/lib/modelInfos/fhir-modelinfo-4.0.1.xml.js";

const models = new ModelManager();
models.modelInfoLoader.registerModelInfoProvider(new SystemModelInfoProvider());
models.modelInfoLoader.registerModelInfoProvider(
  createModelInfoProvider((name) => (name === "FHIR" ? stringAsSource(fhir) : null)),
);
// Units are the lab table's, and a test holds them against UCUM.
const units = createUcumService((value) => value, () => null, (one) => one, (one) => one);
const options = new CqlCompilerOptions().withSignatureLevel(LibraryBuilder.SignatureLevel.None);
const manager = new LibraryManager(models, options, undefined, units);
const translator = CqlTranslator.fromText(readFileSync(0, "utf8"), manager);

const errors = translator.errors.asJsReadonlyArrayView();
if (errors.length > 0) {
  for (const error of errors) console.error(`${error.locator?.startLine ?? "?"}: ${error.message}`);
  process.exit(1);
}
const written = JSON.parse(translator.toJson(), (_, value) =>
  Array.isArray(value) && value.length === 0 ? undefined : value,
);
// Without a library of FHIR helpers the translator warns of each retrieve that it found no operator; the retrieve is
// the same. The warnings are not kept.
written.library.annotation = written.library.annotation.filter((one) => one.type === "CqlToElmInfo");
process.stdout.write(JSON.stringify(written));
