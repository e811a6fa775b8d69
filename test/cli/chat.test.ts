import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type GeneratedToken, load } from '#fiddler/index.js';
import { loadTokenizer } from '../../src/text/tokenizer.js';
import { temporaryFolder } from '../support/folder.js';
import { fiddler } from './fiddler.js';
import { atTerminal } from './terminal.js';

/** One thread, since two that wait for each other are slow on cores that are busy otherwise; and a policy for which nothing is measured. */
const CPU = ['--accelerator', 'none', '--threads', '1', '--policy', 'static'];

describe('fiddler chat with a pipe', () => {
  it('answers each line, has only new tokens computed, and keeps to its commands', async () => {
    const lines = 'Once there was a king\n\n/help\nand then\n/reset \nOnce\n/exit\nnever said\n';
    const { code, stdout, stderr } = await fiddler(['chat', ...CPU, '--max-tokens', '12', '--seed', '1'], lines);
    expect(code).toBe(0);
    expect(stdout).not.toBe('');
    const turns = [...stderr.matchAll(/^12 tokens, .*; context (\d+) of 2048, (\d+) reused$/gm)];
    const [first, second, third] = turns.map(([, used, reused]) => ({ used: Number(used), reused: Number(reused) }));
    expect(turns).toHaveLength(3);
    expect(first!.reused).toBe(0);
    expect(second!.reused).toBe(first!.used - 1); // the newest token was chosen, not yet computed
    expect(third!.used).toBeLessThan(first!.used);
    expect(stderr).toContain('/reset starts a new conversation');
  });

  it('says what begins with a slash and is no command, and leading spaces', async () => {
    const dir = temporaryFolder();
    cpSync('models/mini-mixtral', dir, { recursive: true });
    writeFileSync(
      join(dir, 'chat_template.jinja'),
      "{{ raise_exception('saw ' ~ messages[0].content | tojson ~ messages[0].content | length) }}",
    );
    const said = async (line: string) => (await fiddler(['chat', ...CPU, '--model', dir], `${line}\n`)).stderr;
    expect(await said('/etc/hosts')).toContain('saw "/etc/hosts"10');
    expect(await said('  indented ')).toContain('indented "11');
  });

  it("uses the model's own template", async () => {
    const dir = temporaryFolder();
    cpSync('models/mini-mixtral', dir, { recursive: true });
    const template = "{{ raise_exception('saw ' ~ messages|length ~ ' messages, first of ' ~ messages[0].role) }}";
    writeFileSync(join(dir, 'chat_template.jinja'), template);
    const { code, stderr } = await fiddler(['chat', ...CPU, '--model', dir, '--system', 'Be brief.'], 'Hello\n');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^fiddler: .*saw 2 messages, first of system; .*\n$/);
  });

  it('says that the context is full, and forgets nothing silently', async () => {
    const args = ['chat', ...CPU, '--ctx', '24', '--max-tokens', '100'];
    const { code, stderr } = await fiddler(args, 'Once there was a king\nand then\n');
    expect(stderr).toContain('the context is full, the answer ends here; /reset starts a new conversation');
    expect(stderr).toMatch(/fiddler: the prompt has \d+ tokens, but the context holds 24; .*\n$/);
    expect(code).toBe(1);
  });
});

describe('fiddler chat with a model that reasons', () => {
  const LENGTH = 12;
  const GREEDY = [...CPU, '--temperature', '0', '--dtype', 'f32', '--max-tokens'];
  const QUESTION = 'Once there was a king';

  /**
   * The bundled model with a template, and with `<think>` and `</think>` in place of two of the tokens that it generates
   * there: the first, and a later one that comes once.
   */
  async function reasoningModel() {
    const dir = mkdtempSync(join(tmpdir(), 'fiddler-test-'));
    cpSync('models/mini-mixtral', dir, { recursive: true });
    writeFileSync(join(dir, 'chat_template.jinja'), '{% for m in messages %}{{ m.content }}\n{% endfor %}');
    const prompt = loadTokenizer(dir)!.encode(`${QUESTION}\n`, { addSpecial: false });
    const loaded = await load(dir, { accelerator: 'none', threads: 1, dtype: 'f32', profile: false });
    const generated: GeneratedToken[] = [];
    for await (const token of loaded.generate(prompt, { maxTokens: LENGTH, temperature: 0 }).tokens())
      generated.push(token);
    await loaded.close();
    const ids = generated.map(({ token }) => token);
    const close = ids.findIndex((id, i) => i > 3 && ids.indexOf(id) === i && ids.lastIndexOf(id) === i);
    expect(ids.lastIndexOf(ids[0]!)).toBe(0);
    expect(close).toBeGreaterThan(3);

    const file = join(dir, 'tokenizer.json');
    const json = JSON.parse(readFileSync(file, 'utf8'));
    const tags = [ids[0], ids[close]].map((id, i) => ({ id, content: ['<think>', '</think>'][i], special: false }));
    writeFileSync(file, JSON.stringify({ ...json, added_tokens: [...json.added_tokens, ...tags] }));
    const text = (from: number, to?: number) => generated.slice(from, to).map((token) => token.text);
    const [reasoning, answer] = [
      text(1, close).join('').trim(),
      text(close + 1)
        .join('')
        .trim(),
    ];
    return { dir, reasoning, reasoningTokens: close - 1, answer, promptTokens: prompt.length };
  }

  let model: Awaited<ReturnType<typeof reasoningModel>>;
  beforeAll(async () => {
    model = await reasoningModel();
  });
  afterAll(() => rmSync(model.dir, { recursive: true }));

  it('prints the answer alone, and forgets the reasoning', async () => {
    const { dir, answer, reasoningTokens, promptTokens } = model;
    const args = ['chat', '--model', dir, ...GREEDY, `${LENGTH}`];
    const { code, stdout, stderr } = await fiddler(args, `${QUESTION}\nand then\n`);
    expect(code).toBe(0);
    expect(stdout.slice(0, answer.length + 1)).toBe(`${answer}\n`);
    const used = promptTokens + LENGTH;
    expect(stderr).toContain(`12 tokens (${reasoningTokens} of reasoning), `);
    expect(stderr).toMatch(new RegExp(`context ${used} of 2048, 0 reused\n.*, ${promptTokens} reused\n$`));
  });

  it('prints the reasoning before the answer with --show-reasoning', async () => {
    const { dir, reasoning, answer } = model;
    const args = ['chat', '--model', dir, '--show-reasoning', ...GREEDY, `${LENGTH}`];
    const { stdout } = await fiddler(args, `${QUESTION}\n`);
    expect(stdout).toBe(`${reasoning}\n\n${answer}\n`);
  });

  it('says so when the tokens end before an answer begins', async () => {
    const { dir } = model;
    const { code, stdout, stderr } = await fiddler(['chat', '--model', dir, ...GREEDY, '3'], `${QUESTION}\n`);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toContain('no answer was begun: the reasoning took all tokens; give more of them by --max-tokens');
  });

  it.runIf(process.platform === 'linux')('shows at a terminal that it reasons, or dims the reasoning', async () => {
    const { dir, reasoning, answer } = model;
    const ask = (more: string[]) => {
      let asked = false;
      return atTerminal(['chat', '--model', dir, ...more, ...GREEDY, `${LENGTH}`], (all, type) => {
        if (!asked && all.includes('> ')) type(`${QUESTION}\r/exit\r`);
        asked ||= all.includes('> ');
      });
    };
    const lines = (text: string) => text.replaceAll('\n', '\r\n');
    const [hidden, shown] = [(await ask([])).output, (await ask(['--show-reasoning'])).output];
    const [, status, rest] = /reasoning, (\d+) tokens?(.*)/s.exec(hidden)!;
    expect(Number(status)).toBe(1);
    const last = rest!.split(/reasoning, \d+ tokens?/).at(-1);
    expect(last).toContain(`\x1b[22m\x1b[1G\x1b[2K${lines(answer)}\r\n`);
    expect(hidden).not.toContain(reasoning);
    expect(shown).not.toContain('reasoning, 1 token');
    const plain = shown.replaceAll('\x1b[22m\x1b[2m', ''); // between the pieces
    expect(plain).toContain(`\x1b[2m${lines(reasoning)}\x1b[22m\r\n\r\n${lines(answer)}\r\n`);
  });
});

describe.runIf(process.platform === 'linux')('fiddler chat at a terminal', () => {
  it('takes lines that are pasted together as one message', async () => {
    const dir = temporaryFolder();
    cpSync('models/mini-mixtral', dir, { recursive: true });
    writeFileSync(join(dir, 'chat_template.jinja'), "{{ raise_exception('saw ' ~ messages | tojson) }}");
    let typed = false;
    const { output } = await atTerminal(['chat', ...CPU, '--model', dir], (all, type) => {
      if (!typed && all.includes('> ')) type('so:\x1b[200~first\r/exit\rlast\x1b[201~.\r');
      typed ||= all.includes('> ');
    });
    expect(output).toContain('\x1b[?2004h');
    expect(output).toContain('saw [{"role": "user", "content": "so:first\\n/exit\\nlast."}]');
    expect(output.lastIndexOf('\x1b[?2004l')).toBeGreaterThan(output.lastIndexOf('\x1b[?2004h'));
  });

  it('Ctrl-C stops an answer, and at the prompt ends the conversation', async () => {
    let [asked, stopped] = [0, false];
    const args = ['chat', ...CPU, '--max-tokens', '2000', '--seed', '3'];
    const { code, output } = await atTerminal(args, (all, type) => {
      const prompts = all.split('> ').length - 1;
      const [, answer = ''] = all.split('Hello');
      if (prompts > asked) {
        asked = prompts;
        type(asked === 1 ? 'Hello\r' : '\x03');
      } else if (!stopped && answer.length > 100 && asked === 1) {
        stopped = true;
        type('\x03');
      }
    });
    expect(output).toMatch(/\d+ tokens, .* tokens\/s; context \d+ of 2048/);
    expect(asked).toBe(2);
    expect(code).toBe(130);
  });
});
