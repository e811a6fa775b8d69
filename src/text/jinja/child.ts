// Run as a process of its own by process.ts: a template may loop for ever, and takes the process along when its memory ends.
import { withoutCoreDumps } from '../../native/os/core-dump.js';
import { endWithParent } from '../../native/os/parent.js';
import { compile, Refusal } from './compile.js';
import type { Answer, Question } from './process.js';

endWithParent();
withoutCoreDumps();
let compiled: { source: string; render: ReturnType<typeof compile> } | undefined;

process.on('message', (question: Question) => process.send!(answer(question)));
process.on('disconnect', () => process.exit());

function answer({ source, variables }: Question): Answer {
  try {
    if (compiled?.source !== source) compiled = { source, render: compile(source) };
  } catch (error) {
    return { fault: 'broken', message: messageOf(error) };
  }
  try {
    return { text: variables ? compiled.render(variables) : '' };
  } catch (error) {
    return { fault: error instanceof Refusal ? 'refused' : 'failed', message: messageOf(error) };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
