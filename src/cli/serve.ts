import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { Option } from 'commander';
import pc from 'picocolors';
import { FiddlerError } from '../errors.js';
import type { Model, ModelInfo } from '../index.js';
import { MOST_SEQUENCES } from '../options.js';
import type { Server, ServerOptions } from '../server/server.js';
import { Ending } from './ending.js';
import { addModelArgument } from './model.js';
import { addCommon, addLearningOptions, addLoadOptions, loadOptions, type ModelFlags } from './options.js';
import { VERSION } from './package.js';
import { integer, seconds, several } from './parse.js';
import { presentModel } from './pull.js';
import { formatBytes } from './report.js';
import { warn } from './warn.js';

const EXAMPLES = `
fiddler serve
fiddler serve ~/models/Qwen3-30B-A3B --port 8080
fiddler serve DIR --host 0.0.0.0 --api-key-file keys.txt --alias my-model
curl localhost:8080/v1/chat/completions -H 'content-type: application/json' -d '{"messages":[{"role":"user","content":"Hello!"}]}'`;

interface ServeFlags extends ModelFlags {
  host: string;
  port: number;
  parallel: number;
  queue: number;
  apiKeyFile?: string;
  alias?: string[];
  cors?: string[];
  drain: number;
  logLevel: string;
  logPrompts?: boolean;
}

export function addServe(program: Command): void {
  const command = program
    .command('serve')
    .summary("answer OpenAI's and Anthropic's clients")
    .description(
      "Serves a model to clients of OpenAI's and Anthropic's APIs over HTTP until it is ended: by Ctrl-C or SIGTERM it finishes what runs, and by a second one it ends at once.",
    )
    .option('--host <address>', 'address to listen on; other machines reach 0.0.0.0', '127.0.0.1')
    .option('--port <n>', 'port to listen on; 0 takes one that is free', integer(0, 65535), 8080)
    .option(
      '--parallel <n>',
      'answers that are generated at the same time; each has keys and values for a whole context',
      integer(1, MOST_SEQUENCES),
      8,
    )
    .option('--queue <n>', 'answers that wait for that; what is beyond is told to try again', integer(0, 100_000), 64)
    .option('--api-key-file <file>', 'answer only those who have a key: one a line (default: anyone)')
    .option(
      '--alias <name>',
      'name by which requests call the model, in place of its own; may be given several times',
      several,
    )
    .option(
      '--cors <origin>',
      'let web pages of this origin use it, * those of any; may be given several times',
      several,
    )
    .option('--drain <time>', 'how long what runs may take to finish at the end, such as 30s', seconds, 30)
    .addOption(
      new Option('--log-level <level>', 'what is logged to stderr, as lines of JSON')
        .choices(['error', 'warn', 'info', 'debug', 'silent'])
        .default('warn'),
    )
    .option('--log-prompts', 'log what is asked, too (with --log-level info)');
  addLearningOptions(addLoadOptions(addModelArgument(command)));
  addCommon(command, EXAMPLES).action((_: unknown, flags: ServeFlags) => serve(flags));
}

async function serve(flags: ServeFlags): Promise<void> {
  const begin = performance.now();
  boundHeaps();
  const options = await serverOptions(flags);
  const ending = new Ending();
  const path = await presentModel(flags, ending.signal);
  const { listen } = await import('../server/server.js');
  const server = await listen(options).catch((error: NodeJS.ErrnoException) => {
    throw cannotListen(flags, error);
  });
  let model: Model | undefined;
  try {
    model = await loadInto(server, path, flags, ending.signal);
    process.stdout.write(startLines(server.url, model.info, performance.now() - begin));
    if (options.keys.length === 0 && !(await isLocal(flags.host))) {
      warn(`anyone who reaches ${flags.host} can use the model; give --api-key-file`);
    }
    await ending.ended;
    ending.allow(flags.drain);
    process.stderr.write('finishing what runs; press Ctrl-C again to end at once\n');
    await server.service.drain(flags.drain);
  } finally {
    await server.close();
    await model?.close();
  }
}

/** Else V8 gives what is short-lived ever more room, up to 32 MB, and lets each heap grow by 8 MB before it is collected. */
function boundHeaps(): void {
  setFlagsFromString('--optimize-for-size');
  const bound = () => setFlagsFromString('--semi-space-growth-factor=1');
  bound();
  process.on('worker', (worker) => worker.once('online', bound)); // a new heap sets it back
}

async function loadInto({ service }: Server, path: string, flags: ServeFlags, signal: AbortSignal): Promise<Model> {
  const { load } = await import('../index.js');
  const { loadingProgress } = await import('./progress.js');
  const progress = await loadingProgress();
  const onProgress = (done: number, total: number) => {
    service.loading(done, total);
    progress.update(done, total);
  };
  try {
    const options = { ...loadOptions(flags), sequences: flags.parallel };
    const model = await load(path, { ...options, signal, onWarning: warn, onProgress });
    service.loaded(model);
    return model;
  } finally {
    progress.stop();
  }
}

async function serverOptions(flags: ServeFlags): Promise<ServerOptions> {
  const { host, port, parallel, queue, alias, cors, logLevel, logPrompts } = flags;
  const { pino, destination } = (await import('pino')).default;
  return {
    host,
    port,
    parallel,
    queue,
    keys: flags.apiKeyFile === undefined ? [] : readKeys(flags.apiKeyFile),
    origins: cors ?? [],
    aliases: alias ?? [],
    logPrompts: logPrompts === true,
    log: pino({ level: logLevel, base: undefined }, destination({ fd: 2, sync: true })),
  };
}

/** The lines of a file of keys, but for empty ones. @throws FiddlerError */
function readKeys(file: string): string[] {
  const keys = readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (keys.length > 0) return keys;
  throw new FiddlerError('usage', `${file} has no key`, 'write one into it, or leave --api-key-file out');
}

async function isLocal(host: string): Promise<boolean> {
  const { isLoopback } = await import('../server/access.js');
  return isLoopback(host);
}

function cannotListen({ host, port }: ServeFlags, error: NodeJS.ErrnoException): FiddlerError {
  const why = error.code === 'EADDRINUSE' ? 'the port is taken' : error.message;
  return new FiddlerError('usage', `cannot listen on ${host}, port ${port}: ${why}`, 'give another --port or --host', {
    cause: error,
  });
}

/** What is served, where, and how it is computed. */
function startLines(url: string, info: ModelInfo, milliseconds: number): string {
  const { bold, cyan, dim, green } = pc.createColors(pc.isColorSupported && process.stdout.isTTY === true);
  const { name, family, context, accelerator, policy, threads, experts, memory } = info;
  const where = memory.accelerator > 0 ? `${formatBytes(memory.accelerator)} on ${accelerator}, ` : '';
  const lines = [
    ['URL', cyan(`${url}/v1`)],
    ['Model', `${name} (${family}, context ${context})`],
    ['Plan', `${accelerator}, policy ${policy}, ${threads} threads`],
    ['Resident', `${experts.resident} of ${experts.total} experts; ${where}${formatBytes(memory.ram)} in RAM`],
  ];
  const table = lines.map(([label, value]) => `  ${green('➜')}  ${bold(`${label}:`.padEnd(10))} ${value}\n`);
  const title = `  ${green(bold('FIDDLER'))} v${VERSION}  ${dim(`ready in ${Math.round(milliseconds)} ms`)}`;
  return `\n${title}\n\n${table.join('')}\n  ${dim('press Ctrl-C to end')}\n`;
}
