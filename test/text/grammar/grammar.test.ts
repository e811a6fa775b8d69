import { afterAll, describe, expect, it } from 'vitest';
import { json } from '../../../src/text/grammar/outline.js';
import { checkSchema } from '../../../src/text/grammar/schema.js';
import { fiddlerError } from '../../support/errors.js';
import { numbersFrom } from '../../support/numbers.js';
import { bundled, checkAnswers, sampledAnswer } from './sampled.js';

const model = bundled();
const { tokenizer, end, grammars } = model;
afterAll(() => grammars.close());

describe('answers that are held to a schema', () => {
  it('fit it, whatever tokens are chosen', async () => {
    expect(await checkAnswers(model, 60)).toBeGreaterThan(30);
  });

  it('go on while more schemas come than are kept', async () => {
    const held = { outline: json({ const: 'held' }) };
    const constraint = await grammars.constrain(held.outline);
    for (let i = 0; i < 40; i++) {
      const other = await grammars.constrain(json({ const: i }));
      other.port.close();
      grammars.release(other);
    }
    const holding = { constrain: async () => constraint, release: () => grammars.release(constraint) };
    for (const from of [holding as unknown as typeof grammars, grammars]) {
      expect(await sampledAnswer(from, held, { tokenizer, end, random: numbersFrom(1), most: 20 })).toBe('"held"');
    }
  });
});

describe('a schema', () => {
  it.each([
    [{ type: 'object', patternProperties: {} }, '/patternProperties is not kept'],
    [{ type: 'object', properties: { a: { type: 'string', pattern: '^a' } } }, '/properties/a/pattern is not kept'],
    [{ not: {} }, '/not is not kept'],
    [{ $ref: 'https://example.com/schema.json' }, '/$ref refers to another document'],
    [{ type: 'string', maxLength: 1e9 }, '/maxLength is no whole number from 0 to 1000'],
    [{ type: 'array', minItems: -1 }, '/minItems is no whole number from 0 to 1000'],
    [{ type: 'array', minItems: 2, maxItems: 1 }, '/minItems is more than maxItems'],
    [{ $ref: '#/$defs/a' }, '/$ref refers to no schema'],
    [{ $ref: '#/default', default: { pattern: '^a' } }, '/$ref refers to no schema'],
    [{ $ref: '#/constructor' }, '/$ref refers to no schema'],
    [{ $ref: '#' }, 'root refers to itself'],
    [{ $defs: { a: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/a' }] } } }, '/$defs/a refers to itself'],
    [{ anyOf: [] }, '/anyOf is no list with parts'],
    [{ enum: [] }, '/enum is no list with parts'],
    [{ enum: 'cat' }, '/enum is no list with parts'],
    [{ properties: null }, '/properties is no object'],
    [{ properties: { a: { $defs: 'b' } } }, '/properties/a/$defs is no object'],
    [{ definitions: [] }, '/definitions is no object'],
    [{ required: 'a' }, '/required is no list of texts'],
    [{ required: [1], additionalProperties: false }, '/required is no list of texts'],
    [{ anyOf: [{}], minimum: 3 }, '/minimum is not kept beside anyOf'],
    [{ type: 'number', minimum: 0.5 }, '/minimum is not kept, but for integers'],
    [{ type: 'integer', minimum: 7 }, '/minimum is not kept, but for integers'],
    [{ type: 'integer', minimum: 2, maximum: 1 }, 'root allows no number'],
    [{ items: [] }, '/items is no schema'],
  ])('is refused by the keyword that would not be kept: %j', (schema, problem) => {
    expect(fiddlerError('unsupported', () => checkSchema(schema))).toContain(problem);
  });

  it('may refer to itself for a part of what it describes', () => {
    const list = { type: 'object', properties: { next: { anyOf: [{ type: 'null' }, { $ref: '#' }] } } };
    expect(checkSchema(list)).toContain('"$ref":"#"');
    expect(checkSchema({ anyOf: [{ type: 'array', items: { $ref: '#' } }, { type: 'null' }] })).toContain('items');
  });

  it('has ranges of integers written out, and bounds that every safe integer has as they are', () => {
    const safe = { type: 'integer', minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER };
    const properties = { a: { type: 'integer', minimum: -1, maximum: 1.5 }, b: safe };
    const { properties: found, $defs } = JSON.parse(checkSchema({ properties }));
    expect(found.b).toEqual(safe);
    expect(found.a.anyOf.map(({ $ref }: { $ref: string }) => $defs[$ref.replace('#/$defs/', '')])).toEqual([
      ...[{ const: -1 }, { const: 0 }, { const: 1 }],
    ]);
  });

  it('may not be endless', () => {
    expect(fiddlerError('usage', () => checkSchema({ description: 'x'.repeat(100_000) }))).toContain('longer');
  });
});
