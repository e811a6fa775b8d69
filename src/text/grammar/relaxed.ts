import { checkRange, checkSchema, isObject, KEPT, NAMED, type Schema } from './schema.js';

const ANY_OBJECT: Schema = { type: 'object', additionalProperties: true };
/** Of these, one says all. */
const ALONE = ['$ref', 'const', 'enum', 'anyOf'];

/** A schema of an object that masks keep, and that allows all that `schema` does: what they would not keep is left out. */
export function relaxed(schema: Schema): Schema {
  const found = relax(schema) as Schema;
  return found.type === 'object' && isKept(() => checkSchema(found)) ? found : ANY_OBJECT;
}

function relax(schema: unknown): unknown {
  if (!isObject(schema)) return schema;
  const { oneOf, ...rest } = schema;
  const given: Record<string, unknown> = oneOf === undefined ? rest : { anyOf: oneOf, ...rest };
  const alone = ALONE.find((key) => key in given);
  const found: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(given)) {
    if (NAMED.includes(key) && isObject(value)) {
      if (alone === undefined || key !== 'properties') found[key] = mapped(value);
    } else if (alone !== undefined && key !== alone && key !== 'type') continue;
    else if (key === 'anyOf' && Array.isArray(value)) found[key] = value.map(relax);
    else if (key === 'items' || key === 'additionalProperties') found[key] = relax(value);
    else if (KEPT.has(key)) found[key] = value;
  }
  if (!isKept(() => checkRange(found, ''))) for (const key of ['minimum', 'maximum']) delete found[key];
  return found;
}

const mapped = (of: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(of).map(([name, inner]) => [name, relax(inner)]));

function isKept(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}
