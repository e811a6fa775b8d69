#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8';
import { Command, CommanderError } from 'commander';
import { FiddlerError } from '../errors.js';
import { addBench } from './bench.js';
import { addCalibrate } from './calibrate.js';
import { addChat } from './chat.js';
import { addDoctor } from './doctor.js';
import { Ended, endWithOutput } from './ending.js';
import { addCommon } from './options.js';
import { addPlan } from './plan.js';
import { addProfile } from './profile.js';
import { addRun } from './run.js';
import { addScore } from './score.js';
import { addSimulate } from './simulate.js';

const EXAMPLES = `
fiddler run
fiddler run "The old house stood" --max-tokens 100
fiddler chat --model ~/models/Mixtral-8x7B-Instruct-v0.1
fiddler run --help`;

// V8 optimises a function after so many bytes of its bytecode, by default 66 KiB, on threads of its own. Those take cores
// from ggml's threads, which wait for each other: what is not that hot costs a first answer more than it gains.
setFlagsFromString('--interrupt-budget=300000');

const program = new Command('fiddler')
  .description(
    'Runs Mixture-of-Experts language models larger than the GPU, divided between the GPU, the CPU and the link between them.',
  )
  .exitOverride()
  .configureOutput({ outputError: () => {} }); // errors are printed below, all in one form
addCommon(program, EXAMPLES);
addRun(program);
addChat(program);
addScore(program);
addProfile(program);
addDoctor(program);
addBench(program);
addPlan(program);
addCalibrate(program);
addSimulate(program);
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
  const known = error instanceof FiddlerError;
  const message = error instanceof Error ? error.message : String(error);
  const line = known ? message : `internal error: ${message}; run again with --debug and report what it prints`;
  process.stderr.write(`fiddler: ${line.replaceAll(/\s*\n\s*/g, ' ')}\n`);
  if (process.argv.includes('--debug') && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return known && error.code === 'usage' ? 2 : 1;
}

function reportUsage({ code, exitCode, message }: CommanderError): number {
  if (exitCode === 0) return 0; // --help and --version
  if (code !== 'commander.help') {
    const line = message.replace(/^error: /, '').replaceAll('\n', ' ');
    process.stderr.write(`fiddler: ${line}; see --help\n`);
  }
  return 2;
}
