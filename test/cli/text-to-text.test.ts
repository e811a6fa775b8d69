import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { pieceId, textToTextJson } from '../text/text-to-text.js';
import { fiddler } from './fiddler.js';

/** An encoder-decoder with a tokenizer; its weights repeat the token that its answers start from. */
function model(start: string): string {
  const dir = temporaryFolder();
  cpSync('test/golden/switch', dir, { recursive: true });
  const config = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8'));
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, decoder_start_token_id: pieceId(start) }));
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(textToTextJson()));
  return dir;
}

const options = ['--accelerator', 'none', '--threads', '1'];
const run = (dir: string, ...args: string[]) =>
  fiddler(['run', '--model', dir, '--temperature', '0', '--max-tokens', '3', ...options, ...args]);

describe('an encoder-decoder', () => {
  it('writes an answer that is a text of its own', async () => {
    const { code, stdout, stderr } = await run(model('▁bee'), 'honey honeys');
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'bee bee bee\n' });
    expect(stderr).toContain('4 '); // the end token is read too
  });

  it('shows sentinels', async () => {
    expect((await run(model('<extra_id_1>'), 'honey <extra_id_0>')).stdout).toBe(`${'<extra_id_1>'.repeat(3)}\n`);
  });

  it('reads token ids as they are', async () => {
    const { stdout } = await run(model('▁bee'), '--tokens', '4,5', '--json');
    const { report } = JSON.parse(stdout.trimEnd().split('\n').at(-1)!);
    expect(report.promptTokens).toBe(2);
    expect(report.generatedTokens).toBe(3);
  });

  it.each([
    ['score', ['some text'], /encoder-decoder.*decoder-only/],
    ['chat', [], /encoder-decoder.*fiddler run/],
  ])('is refused by %s in one line', async (command, args, message) => {
    const { code, stdout, stderr } = await fiddler([command, ...args, '--model', model('▁bee'), ...options], 'hello\n');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.trimEnd()).toMatch(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  it('is measured by bench', async () => {
    const sizes = ['--prefill', '8', '--decode-at', '4', '--decode-tokens', '2', '--repeats', '1'];
    const { code, stdout, stderr } = await fiddler(['bench', '--model', model('▁bee'), ...sizes, ...options]);
    expect({ code, stderr: stderr.match(/rror.*/)?.[0] }).toEqual({ code: 0, stderr: undefined });
    expect(stdout).toContain('prefill');
  });
});
