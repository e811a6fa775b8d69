/** A JSON schema. */
export type Schema = Readonly<Record<string, unknown>>;

/** Integers in a range that are written out. */
export const MOST_INTEGERS = 1000;

interface Range {
  minimum: number;
  maximum: number;
}

/** Whether a schema allows few integers, which are written out: of wider ranges the grammar engine gets a third wrong. */
export function isRange(schema: object): schema is Range {
  const { type, minimum, maximum } = schema as Record<string, unknown>;
  const isBounded = typeof minimum === 'number' && typeof maximum === 'number' && maximum - minimum < MOST_INTEGERS;
  return type === 'integer' && isBounded;
}

/**
 * A schema that means the same, and in which each alternative of `anyOf` and `enum` is a definition of its own: the
 * grammar engine confuses some alternatives that it sees beside each other (of `[26, 113, 133, 138, 128]` it takes 118).
 */
export function withNamedAlternatives(schema: Schema): Schema {
  const definitions: Record<string, unknown> = {};
  const reference = (alternative: unknown) => {
    const name = `alternative ${Object.keys(definitions).length}`;
    definitions[name] = {}; // takes the name
    definitions[name] = rewritten(alternative);
    return { $ref: `#/$defs/${name}` };
  };
  const rewritten = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    const { enum: values, anyOf, minimum, maximum, ...rest } = value as Record<string, unknown>;
    if (isRange(value)) return { anyOf: integers(value).map((of) => reference({ const: of })) };
    if (Array.isArray(values)) return { anyOf: values.map((of) => reference({ const: of })) };
    if (Array.isArray(anyOf)) return { ...inner(rest), anyOf: anyOf.map(reference) };
    return { ...inner(rest), ...(minimum !== undefined && { minimum }), ...(maximum !== undefined && { maximum }) };
  };
  const inner = (given: Record<string, unknown>) =>
    Object.fromEntries(
      Object.entries(given).map(([key, value]) => {
        if (['properties', '$defs', 'definitions'].includes(key)) {
          const write = key === 'properties' ? written : String;
          return [
            key,
            Object.fromEntries(Object.entries(value as object).map(([name, of]) => [write(name), rewritten(of)])),
          ];
        }
        if (key === 'required') return [key, (value as string[]).map(written)];
        return [key, key === 'items' || key === 'additionalProperties' ? rewritten(value) : value];
      }),
    );
  const root = rewritten(schema) as Record<string, unknown>;
  return { ...root, $defs: { ...(root.$defs as object), ...definitions } };
}

function integers({ minimum, maximum }: Range): number[] {
  const first = Math.ceil(minimum);
  return Array.from({ length: Math.floor(maximum) - first + 1 }, (_, i) => first + i);
}

/** A property's name in a text of JSON in a text of EBNF: the engine puts it there as it is. */
function written(name: string): string {
  const escaped = (text: string) => JSON.stringify(text).slice(1, -1);
  return escaped(escaped(name));
}
