import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { type TracedCall, TraceReader, TraceWriter } from '../../src/experts/trace.js';

const dir = mkdtempSync(join(tmpdir(), 'fiddler-trace-'));
afterAll(() => rmSync(dir, { recursive: true }));
const layers = [
  { count: 4, chosen: 2 },
  { count: 8, chosen: 1 },
];
const HEAD = JSON.stringify({ format: 'fiddler-trace', version: 1, model: 'm', layers });

function readAll(text: string): (TracedCall | undefined)[] {
  const reader = new TraceReader('a trace');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => reader.read(line));
}

describe('a trace', () => {
  it('gives back what was routed, call by call', () => {
    const call = fc.integer({ min: 1, max: 5 }).chain((tokens) =>
      fc.record({
        tokens: fc.constant(tokens),
        first: fc.constant(0),
        experts: fc.tuple(
          ...layers.map(({ count, chosen }) =>
            fc.array(fc.integer({ min: -1, max: count - 1 }), {
              minLength: tokens * chosen,
              maxLength: tokens * chosen,
            }),
          ),
        ),
      }),
    );
    fc.assert(
      fc.property(fc.array(call, { maxLength: 5 }), (calls) => {
        const path = join(dir, 'trace.jsonl');
        const writer = new TraceWriter(path, 'm', layers);
        for (const { tokens, experts } of calls) {
          for (const [layer, chose] of experts.entries()) {
            const { chosen } = layers[layer]!;
            // The buffers are those of the largest call.
            const ids = Int32Array.from([...chose, 99, 99]);
            writer.routed({ layer, tokens, chosen, experts: ids, weights: new Float32Array(ids.length) });
          }
        }
        writer.close();
        expect(readAll(readFileSync(path, 'utf8'))).toEqual([undefined, ...calls]);
      }),
    );
  });

  it.each([
    ['no JSON', 'nonsense', /line 1 of a trace is no head of a trace/],
    ['another head', '{"format":"other"}', /line 1 of a trace is no head/],
    ['a layer too many', `${HEAD}\n{"tokens":1,"first":1,"experts":[[0],[0]]}`, /line 2 of a trace is no call/],
    ['an expert too many', `${HEAD}\n{"tokens":1,"first":0,"experts":[[0,4],[0]]}`, /line 2 of a trace is no call/],
    ['too few experts', `${HEAD}\n{"tokens":2,"first":0,"experts":[[0,1],[0]]}`, /line 2 of a trace is no call/],
  ])('with %s is refused by its line', (_, text, message) => {
    expect(() => readAll(text)).toThrow(message);
  });

  it('that cannot be written says so', () => {
    expect(() => new TraceWriter(join(dir, 'no', 'folder'), 'm', layers)).toThrow(
      /the trace .* cannot be written: ENOENT/,
    );
  });
});
