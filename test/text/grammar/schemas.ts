import fc from 'fast-check';

/** JSON schemas such as programs write them, with all that masks keep. */
export const schemas: fc.Arbitrary<Record<string, unknown>> = fc.letrec<{ any: Record<string, unknown> }>((tie) => {
  const name = fc.stringMatching(/^[a-zA-Z][a-zA-Z_ é"\\\n-]{0,8}$/);
  const count = fc.integer({ min: 0, max: 4 });
  const range = (low: string, high: string) =>
    fc.tuple(count, count).map(([a, b]) => ({ [low]: Math.min(a, b), [high]: Math.max(a, b) }));
  const scalar = fc.oneof(fc.integer(), fc.boolean(), fc.constant(null), fc.string({ maxLength: 6 }));
  const object = fc.uniqueArray(name, { maxLength: 4 }).chain((names) =>
    fc.tuple(fc.tuple(...names.map(() => tie('any'))), fc.subarray(names)).map(([values, required]) => ({
      type: 'object',
      properties: Object.fromEntries(names.map((key, i) => [key, values[i]!])),
      required,
      additionalProperties: false,
    })),
  );
  return {
    any: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom({ type: 'boolean' }, { type: 'null' }, { type: 'number' }, { type: 'integer' }),
      fc.record({ type: fc.constant('string') }),
      range('minLength', 'maxLength').map((of) => ({ type: 'string', ...of })),
      fc.tuple(fc.integer({ min: -99, max: 99 }), fc.nat({ max: 99 })).map(([minimum, more]) => ({
        type: 'integer',
        minimum,
        maximum: minimum + more,
      })),
      fc.uniqueArray(scalar, { minLength: 1, maxLength: 4 }).map((values) => ({ enum: values })),
      scalar.map((value) => ({ const: value })),
      fc.tuple(tie('any'), range('minItems', 'maxItems')).map(([items, of]) => ({ type: 'array', items, ...of })),
      fc.array(tie('any'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
      object,
    ),
  };
}).any;
