import { spawn } from 'node:child_process';
import { onTestFinished } from 'vitest';

/** Gives the command a terminal by script(1). @param onOutput is given all that was shown, and what types */
export function atTerminal(
  args: readonly string[],
  onOutput: (output: string, type: (keys: string) => void) => void,
  more: Readonly<Record<string, string>> = {},
) {
  const command = [process.execPath, 'dist/cli/main.js', ...args].join(' ');
  const { NO_COLOR: _, ...env } = process.env;
  const child = spawn('script', ['-qec', command, '/dev/null'], { env: { ...env, FORCE_COLOR: '1', ...more } });
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
