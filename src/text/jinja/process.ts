import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';

/** Longest that a template may take, its process's start included; milliseconds. */
const DEADLINE = 10_000;
/** Most memory of the template's heap. */
const HEAP_MIB = 256;

/** A template, and what it is rendered with; without variables it is only parsed. */
export interface Question {
  source: string;
  variables?: Readonly<Record<string, unknown>>;
}

/**
 * What went wrong: it does not parse, it refuses by `raise_exception`, or it cannot be computed; or the process was ended
 * before it could answer, or ended by itself.
 */
export interface Fault {
  fault: 'broken' | 'refused' | 'failed' | 'slow' | 'dead';
  message: string;
}

export type Answer = { text: string } | Fault;

/**
 * Computes templates of strangers in a process of its own, one after the other; a limit on a worker's memory would not do,
 * since one allocation above it ends the whole process. The process starts with the first template, and anew after a death.
 * It keeps no program alive.
 */
export class TemplateProcess {
  #child: ChildProcess | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(private readonly deadline = DEADLINE) {}

  /** Never rejects: what a template does wrong is a part of the answer. */
  ask(question: Question): Promise<Answer> {
    const answer = this.#last.then(() => this.#ask(question));
    this.#last = answer;
    return answer;
  }

  close(): void {
    this.#closed = true;
    this.#child?.kill('SIGKILL');
  }

  #ask(question: Question): Promise<Answer> {
    if (this.#closed) return Promise.resolve({ fault: 'dead', message: 'the model is closed' });
    if (!this.#child || hasEnded(this.#child)) this.#child = start();
    const child = this.#child;
    return new Promise((resolve) => {
      const timer = setTimeout(() => die('slow', `it ran for ${this.deadline / 1000} s without an end`), this.deadline);
      const onExit = (code: number | null, signal: string | null) =>
        die('dead', `its process ended by ${signal ?? `code ${code}`}, as when it takes more than ${HEAP_MIB} MiB`);
      const onError = (error: Error) => die('dead', `its process failed: ${error.message}`);
      const settle = (answer: Answer) => {
        clearTimeout(timer);
        child.off('message', settle).off('exit', onExit).off('error', onError);
        child.unref();
        child.channel?.unref();
        resolve(answer);
      };
      const die = (fault: Fault['fault'], message: string) => {
        this.#child = undefined;
        child.on('error', () => {}).kill('SIGKILL');
        settle({ fault, message });
      };
      child.ref();
      child.channel?.ref();
      child.on('message', settle).on('exit', onExit).on('error', onError);
      child.send(question, (error) => error && onError(error));
    });
  }
}

/** It may be ended while it waits for the next template. */
function hasEnded({ connected, exitCode, signalCode }: ChildProcess): boolean {
  return !connected || exitCode !== null || signalCode !== null;
}

function start(): ChildProcess {
  const script = createRequire(import.meta.url).resolve('#fiddler/text/jinja/child.js');
  return fork(script, { execArgv: [`--max-old-space-size=${HEAP_MIB}`], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
}
