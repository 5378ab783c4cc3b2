// JSON whose numbers keep their digits (80.50 stays 80.50), where the browser can do it.

const keepsDigits = typeof JSON.rawJSON === "function";

export function parse(text) {
  if (!keepsDigits) return JSON.parse(text);
  return JSON.parse(text, (key, value, context) => {
    if (typeof value !== "number" || !context || String(value) === context.source) return value;
    return JSON.rawJSON(context.source);
  });
}

export function stringify(value, indent) {
  return JSON.stringify(value, null, indent);
}

// A number as the source has it, from the text that a person typed.
export function exactNumber(text) {
  return keepsDigits ? JSON.rawJSON(text) : Number(text);
}

export function digits(value) {
  return value && typeof value === "object" && "rawJSON" in value ? value.rawJSON : String(value);
}
