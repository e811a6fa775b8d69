#!/usr/bin/env node
import { availableParallelism } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { Command, CommanderError } from 'commander';
import { FiddlerError } from '../errors.js';
import { leaveDeletedFolder } from '../native/os/working-folder.js';
import { Ended, endWithOutput } from './ending.js';
import { addCommon } from './options.js';

/** Every command, and what adds it to the program. */
const COMMANDS: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  run: async () => (await import('./run.js')).addRun,
  chat: async () => (await import('./chat.js')).addChat,
  serve: async () => (await import('./serve.js')).addServe,
  batch: async () => (await import('./batch.js')).addBatch,
  score: async () => (await import('./score.js')).addScore,
  profile: async () => (await import('./profile.js')).addProfile,
  doctor: async () => (await import('./doctor.js')).addDoctor,
  pull: async () => (await import('./pull.js')).addPull,
  bench: async () => (await import('./bench.js')).addBench,
  plan: async () => (await import('./plan.js')).addPlan,
  calibrate: async () => (await import('./calibrate.js')).addCalibrate,
  simulate: async () => (await import('./simulate.js')).addSimulate,
};

const EXAMPLES = `
fiddler run
fiddler run "The old house stood" --max-tokens 100
fiddler chat ~/models/Mixtral-8x7B-Instruct-v0.1
fiddler run --help`;

// V8 optimises a function after so many bytes of its bytecode, by default 66 KiB, on threads of its own. Where cores are few
// those take them from ggml's threads, which wait for each other: what is not that hot costs a first answer more than it
// gains. Where there are many, prompts are the faster the sooner it is done: their code runs once a layer.
setFlagsFromString(`--interrupt-budget=${availableParallelism() > 4 ? 20_000 : 300_000}`);

leaveDeletedFolder();

const program = new Command('fiddler')
  .description(
    'Runs Mixture-of-Experts language models larger than the GPU, divided between the GPU, the CPU and the link between them.',
  )
  .exitOverride()
  .configureOutput({ outputError: () => {} }); // errors are printed below, all in one form
addCommon(program, EXAMPLES);
// Of a command that is named no other's modules are read, which would take longer than to refuse an option.
const [first, second] = process.argv.slice(2);
const named = (first === 'help' ? second : first) ?? '';
for (const name of Object.hasOwn(COMMANDS, named) ? [named] : Object.keys(COMMANDS)) (await COMMANDS[name]!())(program);
process.on('uncaughtException', (error) => process.exit(report(error)));
endWithOutput();
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Prints an error as one line and gives the exit code. */
function report(error: unknown): number {
  if (error instanceof Ended) return error.exitCode;
  if (error instanceof CommanderError) return reportUsage(error);
  const { code, message } = FiddlerError.of(error);
  process.stderr.write(`fiddler: ${message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
  if (process.argv.includes('--debug') && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return code === 'usage' ? 2 : 1;
}

function reportUsage({ code, exitCode, message }: CommanderError): number {
  if (exitCode === 0) return 0; // --help and --version
  if (code !== 'commander.help') {
    const line = message.replace(/^error: /, '').replaceAll('\n', ' ');
    process.stderr.write(`fiddler: ${line}; see --help\n`);
  }
  return 2;
}
