import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopMatcher } from '../../src/text/stop.js';

/** The text before the stop text that is complete first; of those that end together, the longest. */
function expected(text: string, stops: readonly string[]): { text: string; found?: string } {
  for (let end = 1; end <= text.length; end++) {
    const found = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    const longest = found.sort((a, b) => b.length - a.length)[0];
    if (longest !== undefined) return { text: text.slice(0, end - longest.length), found: longest };
  }
  return { text };
}

function run(stops: readonly string[], pieces: readonly string[]) {
  const matcher = new StopMatcher(stops);
  const results = pieces.map((piece) => matcher.push(piece));
  const text = results.map((r) => r.text).join('') + matcher.flush();
  return { text, stopped: results.at(-1)?.stopped ?? false, found: matcher.found };
}

const few = fc.constantFrom('a', 'b', 'c', '\n');
const text = (minLength: number, maxLength: number) => fc.array(few, { minLength, maxLength }).map((c) => c.join(''));

describe('StopMatcher', () => {
  it('cuts at the first stop text, however the text comes', () => {
    fc.assert(
      fc.property(fc.array(text(0, 6), { maxLength: 12 }), fc.array(text(1, 5), { maxLength: 4 }), (pieces, stops) => {
        const whole = pieces.join('');
        const { text: before, found } = expected(whole, stops);
        expect(run(stops, pieces)).toEqual({ text: before, stopped: found !== undefined, found });
      }),
      { numRuns: 3000 },
    );
  });

  it('gives every character as soon as it cannot belong to a stop text', () => {
    const matcher = new StopMatcher(['\nUser:', 'END']);
    expect(matcher.push('Hello\n')).toEqual({ text: 'Hello', stopped: false });
    expect(matcher.push('Us')).toEqual({ text: '', stopped: false });
    expect(matcher.push('ual')).toEqual({ text: '\nUsual', stopped: false });
    expect(matcher.push(' E')).toEqual({ text: ' ', stopped: false });
    expect(matcher.push('ND and more')).toEqual({ text: '', stopped: true });
    expect(matcher.push('more')).toEqual({ text: '', stopped: true });
    expect(matcher.flush()).toBe('');
  });

  it('gives what it held back at the end', () => {
    const matcher = new StopMatcher(['END']);
    expect(matcher.push('the EN').text).toBe('the ');
    expect(matcher.flush()).toBe('EN');
    expect(matcher.flush()).toBe('');
  });
});
