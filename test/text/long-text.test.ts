import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadTokenizer } from '../../src/text/tokenizer.js';
import { temporaryFolder } from '../support/folder.js';
import { KINDS } from './tokenizer-kinds.js';

it('a Unigram tokenizer divides a text without spaces into any number of tokens', () => {
  const dir = temporaryFolder();
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(KINDS['Unigram alone']));
  const tokenizer = loadTokenizer(dir)!;
  expect(tokenizer.encode('x'.repeat(200_000))).toHaveLength(200_000); // more than a call takes arguments
});
