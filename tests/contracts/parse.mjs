// Reads {file, cases: [[schema, value], ...]} and writes, for each, what the schema found wrong (none: it parses).
import { readFileSync } from "node:fs";

const { file, cases } = JSON.parse(readFileSync(0, "utf8"));
const schemas = await import(file);
const found = cases.map(([name, value]) => {
  const done = schemas[name].safeParse(value);
  return done.success ? [] : done.error.issues.map((one) => `${one.path.join(".")}: ${one.message}`);
});
process.stdout.write(JSON.stringify(found));
