import type { Interface } from 'node:readline';
import { Stream } from '../thread/stream.js';

/** Has a terminal mark what is pasted (xterm's bracketed paste mode), and no longer. */
const MARK_PASTES = '\x1b[?2004h';
const LEAVE_PASTES = '\x1b[?2004l';

/**
 * What is typed or piped in, a message a line. At a terminal a prompt asks for each, and lines that are pasted together are
 * one message, once Enter ends it.
 * @param interactive `terminal` reads stdin as a terminal and writes to stderr
 */
export async function* messages(terminal: Interface, interactive: boolean): AsyncGenerator<string> {
  const said = new Stream<string>(() => {});
  let pasted: string[] = [];
  let pasting = false;
  let open = true;
  const onKey = (_: unknown, { name }: { name?: string }) => {
    if (name === 'paste-start' || name === 'paste-end') pasting = name === 'paste-start';
  };
  terminal.on('line', (line) => {
    pasted.push(line);
    if (pasting) return;
    said.push(pasted.join('\n').replace(/\n+$/, ''));
    pasted = [];
  });
  terminal.once('close', () => {
    open = false;
    if (pasted.length > 0) said.push(pasted.join('\n'));
    said.end();
  });
  if (interactive) process.stdin.on('keypress', onKey);
  if (interactive) process.stderr.write(MARK_PASTES);
  try {
    const all = said[Symbol.asyncIterator]();
    for (;;) {
      if (interactive && open) terminal.prompt(); // would read stdin again once closed
      const { value, done } = await all.next();
      if (done) return;
      yield value;
    }
  } finally {
    process.stdin.off('keypress', onKey);
    if (interactive) process.stderr.write(LEAVE_PASTES);
  }
}
