import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkDepth, endTokens, readJson } from '../../src/weights/config.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';

/** Reads a config.json of that text. */
function read(text: string) {
  const dir = temporaryFolder();
  writeFileSync(join(dir, 'config.json'), text);
  return readJson(dir, 'config.json', { required: true });
}

describe('a JSON file', () => {
  it('is read', () => {
    expect(read('{"a": [1, null], "b": {}}')).toEqual({ a: [1, null], b: {} });
    expect(readJson('models/mini-mixtral', 'config.json', { required: true }).model_type).toBe('mixtral');
  });

  it('may say Infinity, as Python writes it, where no string does', () => {
    const text = '{"a": [0.0, Infinity], "b": -Infinity, "Infinity": "\\\\\\"Infinity, Infinity"}';
    expect(read(text)).toEqual({ a: [0, Infinity], b: -Infinity, Infinity: '\\"Infinity, Infinity' });
    for (const broken of ['{"a": Infinit}', '{"a": 1Infinity}', '{"a": InfinityInfinity}', '{Infinity: 1}']) {
      expect(fiddlerError('file', () => read(broken))).toContain('is not valid JSON at line 1');
    }
    expect(fiddlerError('file', () => read('{"a": Infinity, b}'))).toContain('column 17');
  });

  it('may be missing where it is not required, and only there', () => {
    const dir = temporaryFolder();
    expect(readJson(dir, 'generation_config.json', { required: false })).toBeUndefined();
    const message = fiddlerError('file', () => readJson(dir, 'config.json', { required: true }));
    expect(message).toContain(`${join(dir, 'config.json')} does not exist`);
    mkdirSync(join(dir, 'folder'));
    expect(fiddlerError('file', () => readJson(dir, 'folder', { required: false }))).toContain('EISDIR');
  });

  it.each([
    ['', 'line 1, column 1'],
    ['{"a": 1', 'line 1, column 8'],
    ['{"a": x}', 'line 1, column 7'],
    ['{"a": nope}', 'line 1, column 8'],
    ['{\n  "a": 1,\n  b: 2\n}', 'line 3, column 3'],
    ['{\n  "a": [1 2]\n}', 'line 2, column 11'],
    ['{"a": 1}\n}', 'line 2, column 1'],
    ['{"a": "\t"}', 'line 1, column 8'],
    ['{"a": 01}', 'line 1, column 8'],
  ])('broken as %j is refused at %s', (text, position) => {
    expect(fiddlerError('file', () => read(text))).toContain(`config.json is not valid JSON at ${position};`);
  });

  it('cut anywhere is refused at the cut', () => {
    const cut = fc
      .tuple(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat())
      .map(([object, at]) => JSON.stringify(object).slice(0, at % JSON.stringify(object).length));
    fc.assert(
      fc.property(cut, (text) => {
        expect(fiddlerError('file', () => read(text))).toContain(`at line 1, column ${text.length + 1};`);
      }),
      { numRuns: 300 },
    );
  });

  it.each(['[]', 'null', '"x"', '3'])('that is no object is refused: %s', (text) => {
    expect(fiddlerError('file', () => read(text))).toContain('config.json');
  });
});

describe('end tokens', () => {
  it('come from both files, one or a list', () => {
    expect(endTokens({ eos_token_id: 2 })).toEqual(new Set([2]));
    expect(endTokens({ eos_token_id: 2 }, { eos_token_id: [7, 2, 0] })).toEqual(new Set([2, 7, 0]));
    expect(endTokens({}, { eos_token_id: null })).toEqual(new Set());
  });

  it.each([-1, 1.5, '2', [2, null], [[2]], {}, true])('are refused unless they are ids: %j', (id) => {
    expect(fiddlerError('file', () => endTokens({ eos_token_id: id }))).toMatch(/^config.json: .* in eos_token_id/);
    expect(fiddlerError('file', () => endTokens({}, { eos_token_id: id }))).toMatch(/^generation_config.json: /);
  });
});

describe('a config', () => {
  it('may have lists and objects within each other, but not without end', () => {
    const nested = (depth: number) => JSON.parse(`{"a": ${'['.repeat(depth)}${']'.repeat(depth)}}`);
    checkDepth(nested(50), 'config.json');
    expect(fiddlerError('file', () => checkDepth(nested(100_000), 'config.json'))).toContain('within each other');
  });
});
