import { spawn } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { fiddler } from './fiddler.js';

/** One thread, since two that wait for each other are slow on cores that are busy otherwise. */
const CPU = ['--accelerator', 'none', '--threads', '1'];

describe('fiddler chat with a pipe', () => {
  it('answers each line, has only new tokens computed, and keeps to its commands', async () => {
    const lines = 'Once there was a king\n\n/help\nand then\n/nonsense\n/reset\nOnce\n/exit\nnever said\n';
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
    expect(stderr).toContain('there is no command /nonsense');
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

describe.runIf(process.platform === 'linux')('fiddler chat at a terminal', () => {
  /** Gives the command a terminal by script(1), and writes `keys` each time it asks. */
  function atTerminal(args: readonly string[], onOutput: (output: string, type: (keys: string) => void) => void) {
    const command = [process.execPath, 'dist/cli/main.js', ...args].join(' ');
    const child = spawn('script', ['-qec', command, '/dev/null']);
    onTestFinished(() => void child.kill('SIGKILL'));
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      onOutput(output, (keys) => child.stdin.write(keys));
    });
    return new Promise<{ code: number | null; output: string }>((resolve) => {
      child.on('close', (code) => resolve({ code, output }));
    });
  }

  it('Ctrl-C stops an answer, and at the prompt ends the conversation', async () => {
    let [asked, stopped] = [0, false];
    const args = ['chat', ...CPU, '--max-tokens', '2000', '--seed', '3'];
    const { code, output } = await atTerminal(args, (all, type) => {
      const prompts = all.split('> ').length - 1;
      if (prompts > asked) {
        asked = prompts;
        type(asked === 1 ? 'Hello\r' : '\x03');
      } else if (!stopped && all.length > 200 && asked === 1) {
        stopped = true;
        type('\x03');
      }
    });
    expect(output).toMatch(/\d+ tokens, .* tokens\/s; context \d+ of 2048/);
    expect(asked).toBe(2);
    expect(code).toBe(130);
  });
});
