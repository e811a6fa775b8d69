// Tokens a second of a beam search behind a prompt, in sum over beams, beside one sequence's.
import { parseArgs } from 'node:util';
import { prepareEnvironment } from '#fiddler/devices/environment.js';
import { loadSource } from '#fiddler/engine/load.js';
import type { Workbench } from '#fiddler/engine/workbench.js';
import { folderSource } from '#fiddler/loading/source.js';
import { syntheticSource } from '#fiddler/loading/synthetic.js';
import type { LoadOptions } from '#fiddler/options.js';
import type { Report } from '#fiddler/report.js';
import { median } from './median.js';

const { values: args } = parseArgs({
  options: {
    model: { type: 'string', default: 'models/mini-mixtral' },
    /** A published shape in place of a model, with so many layers. */
    synthetic: { type: 'string' },
    layers: { type: 'string' },
    accelerator: { type: 'string', default: 'auto' },
    /** Share of all experts, 0 to 1. */
    'experts-resident': { type: 'string', default: '0.25' },
    beams: { type: 'string', default: '16' },
    prompt: { type: 'string', default: '512' },
    tokens: { type: 'string', default: '32' },
    runs: { type: 'string', default: '3' },
  },
});
const [beams, length, tokens, runs] = [args.beams, args.prompt, args.tokens, args.runs].map(Number) as [
  number,
  number,
  number,
  number,
];

/** Tokens a second in sum, from the first token on. */
function searched(session: Workbench, prompt: readonly number[]): number {
  let report: Report | undefined;
  const options = { beams, maxTokens: tokens, ignoreEnd: true };
  session.search({ prompt, options, cancelled: () => false }, (outcome) => {
    if ('error' in outcome) throw outcome.error;
    report = outcome.report;
  });
  while (!report) session.advance();
  return beams * report.decodeRate;
}

function alone(session: Workbench, prompt: readonly number[]): number {
  const options = { temperature: 0, maxTokens: tokens, ignoreEnd: true };
  return session.generate(
    prompt,
    options,
    () => false,
    () => false,
  ).decodeRate;
}

const options: LoadOptions = {
  accelerator: args.accelerator as LoadOptions['accelerator'],
  expertsResident: Number(args['experts-resident']),
  sequences: beams,
  ctx: length + tokens + 1,
  profile: false,
};
prepareEnvironment(options);
const layers = args.layers === undefined ? undefined : Number(args.layers);
const session = loadSource(args.synthetic ? syntheticSource(args.synthetic, { layers }) : folderSource(args.model), {
  ...options,
  onWarning: (line) => console.error(line),
});
try {
  const prompt = Array.from({ length }, (_, i) => 1 + ((i * 7919) % (session.info.vocabulary - 1)));
  const rates = { one: [] as number[], all: [] as number[] };
  for (let run = 0; run <= runs; run++) {
    const [one, all] = [alone(session, prompt), searched(session, prompt)];
    if (run === 0) continue; // graphs are built, and the prompt is computed
    rates.one.push(one);
    rates.all.push(all);
  }
  const [one, all] = [median(rates.one), median(rates.all)];
  const { name, accelerator, experts } = session.info;
  console.log(
    `${name} on ${accelerator}, ${experts.resident} of ${experts.total} experts resident, behind ${length} tokens`,
  );
  console.log(
    `one sequence ${one.toFixed(2)} tokens/s, ${beams} beams ${all.toFixed(2)} in sum: ${(all / one).toFixed(2)} times; medians of ${runs}`,
  );
} finally {
  session.close();
}
