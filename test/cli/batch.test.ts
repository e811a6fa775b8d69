import { appendFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { type Ended, fiddler, inTurn, jsonLines, start } from './fiddler.js';

const CPU = [
  '--accelerator',
  'none',
  '--threads',
  '1',
  '--policy',
  'static',
  '--ctx',
  '256',
  '--parallel',
  '3',
  '--no-learn',
];
const greedy = { temperature: 0, max_tokens: 8 };
const chat = (id: string, content: string) => ({
  custom_id: id,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'mini-mixtral', messages: [{ role: 'user', content }], ...greedy },
});
const text = (id: string, prompt: string, more: object = {}) => ({
  custom_id: id,
  method: 'POST',
  url: '/v1/completions',
  body: { prompt, ...greedy, ...more },
});
const REQUESTS = [
  chat('chat', 'Hello'),
  text('old', 'The old house'),
  text('cat', 'A cat', { n: 2 }),
  text('night', 'It was night'),
];
const BROKEN = [
  '{"custom_id": "torn',
  JSON.stringify({ custom_id: 'elsewhere', url: '/v1/embeddings', body: {} }),
  JSON.stringify(text('old', 'the same id')),
  `{"custom_id":"long","body":"${'x'.repeat(2_000_000)}"}`,
  JSON.stringify({ body: { prompt: 'no id' } }),
];

interface Files {
  input: string;
  output: string;
}

function filesOf(lines: readonly (object | string)[]): Files {
  const dir = temporaryFolder();
  const input = join(dir, 'in.jsonl');
  writeFileSync(input, `${lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n')}\n`);
  return { input, output: join(dir, 'out.jsonl') };
}

function run({ input, output }: Files, args: readonly string[] = []): Promise<Ended> {
  return fiddler(['batch', input, '--output', output, ...CPU, ...args]);
}

const recordsOf = ({ output }: Files) => jsonLines(readFileSync(output, 'utf8'));
const textsOf = (files: Files) =>
  Object.fromEntries(
    recordsOf(files).map(({ custom_id: id, response }) => [
      id,
      response?.body.choices?.map(
        (choice: { text?: string; message?: { content: string } }) => choice.text ?? choice.message!.content,
      ),
    ]),
  );

describe('fiddler batch', () => {
  it('answers each line as the server would, in the format of output files', async () => {
    const files = filesOf(REQUESTS);
    const { code, stdout, stderr } = await run(files);
    expect(code, stderr).toBe(0);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^4 requests answered; \d+ tokens, .* tokens\/s$/m);
    const records = recordsOf(files);
    expect(records.map(({ custom_id: id }) => id).toSorted()).toEqual(['cat', 'chat', 'night', 'old']);
    for (const { id, response, error } of records) {
      expect(id).toMatch(/^batch_req_/);
      expect(response).toMatchObject({ status_code: 200, body: { model: 'mini-mixtral' } });
      expect(response.body.usage.completion_tokens).toBeGreaterThan(0);
      expect(error).toBeNull();
    }
    const { old, cat, chat: said } = textsOf(files);
    expect(old).toHaveLength(1);
    expect(cat).toHaveLength(2);
    expect(typeof said[0]).toBe('string');
    const alone = await fiddler([
      'run',
      'The old house',
      ...CPU.slice(0, 8),
      '--no-learn',
      '--temperature',
      '0',
      '--max-tokens',
      '8',
    ]);
    expect(alone.stdout).toBe(`${old[0]}\n`);
  });

  it('goes on where it stopped, in front of a line that was cut off, and says of what it cannot read why', async () => {
    const files = filesOf([
      REQUESTS[0]!,
      ...REQUESTS.slice(1),
      ...BROKEN,
      '',
      text('bad', 'x', { temperature: -1 }),
      text('other', 'x', { model: 'other' }),
      { ...chat('image', ''), body: { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] } },
    ]);
    const first = await run(files);
    expect(first.code, first.stderr).toBe(0);
    expect(first.stderr).toMatch(/^4 requests answered, 8 refused; /m);
    const records = recordsOf(files);
    expect(records).toHaveLength(12);
    const refused = records.filter(({ error }) => error);
    expect(refused.map(({ error }) => error.line).toSorted((a, b) => a - b)).toEqual([5, 6, 7, 8, 9]);
    expect(refused.find(({ custom_id: id }) => id === 'elsewhere').error.message).toContain('url');
    const { response } = records.find(({ custom_id: id }) => id === 'bad');
    expect(response).toMatchObject({ status_code: 400, body: { error: { param: 'temperature' } } });
    expect(records.find(({ custom_id: id }) => id === 'other').response.status_code).toBe(404);
    const { response: image } = records.find(({ custom_id: id }) => id === 'image');
    expect(image).toMatchObject({ status_code: 400, body: { error: { param: 'messages.0.content.0.type' } } });

    const texts = textsOf(files);
    const again = await run(files);
    expect(again.stderr).toMatch(/^0 requests answered, 12 done before; /m);
    expect(recordsOf(files)).toEqual(records);

    truncateSync(files.output, readFileSync(files.output).length - 25);
    appendFileSync(files.input, `${JSON.stringify(text('new', 'New'))}\n`);
    const last = await run(files);
    expect(last.code, last.stderr).toBe(0);
    expect(last.stderr).toMatch(/, 11 done before; /m);
    expect(recordsOf(files)).toHaveLength(13);
    expect(textsOf(files)).toMatchObject(texts);
  });

  it('ends in order when it is interrupted, and answers the rest the next time', async () => {
    const many = Array.from({ length: 40 }, (_, i) =>
      text(`${i}`, `Chapter ${i}`, { max_tokens: 60, ignore_eos: true }),
    );
    const files = filesOf(many);
    const { child, ended } = start(['batch', files.input, '--output', files.output, ...CPU]);
    child.stdin.end();
    while (child.exitCode === null && answers(files) < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill('SIGINT');
    const { code, stderr } = await ended;
    expect(code, stderr).toBe(130);
    expect(stderr).toMatch(/requests? answered, \d+ left; /);
    const before = recordsOf(files);
    expect(before.every(({ response }) => response.status_code === 200)).toBe(true);
    expect(before.length).toBeLessThan(40);
    const rest = await run(files);
    expect(rest.stderr).toContain(`${40 - before.length} requests answered, ${before.length} done before`);
    expect(new Set(recordsOf(files).map(({ custom_id: id }) => id)).size).toBe(40);
  });

  it('leaves a file alone that has no answers of a batch', async () => {
    const contents = ['something else\n', 'no line break', `${JSON.stringify(REQUESTS[0])}\n`];
    const { input, output } = filesOf(REQUESTS);
    const outputs = contents.map((content, i) => {
      writeFileSync(`${output}.${i}`, content);
      return `${output}.${i}`;
    });
    const batch = (from: string, to: string) => ['batch', from, '--output', to, ...CPU];
    const others = [batch(input, input), batch(join(input, 'missing'), output)];
    const outcomes = await inTurn([...outputs.map((to) => batch(input, to)), ...others]);
    contents.forEach((content, i) => {
      const { code, stderr } = outcomes[i]!;
      expect(code, stderr).toBe(2);
      expect(stderr).toContain('is no answer of a batch');
      expect(readFileSync(outputs[i]!, 'utf8')).toBe(content);
    });
    expect(outcomes.slice(contents.length)).toMatchObject([{ code: 2 }, { code: 1 }]);
  });
});

function answers({ output }: Files): number {
  try {
    return readFileSync(output, 'utf8').split('\n').length - 1;
  } catch {
    return 0;
  }
}
