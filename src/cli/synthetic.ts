import { type Command, Option } from 'commander';
import { FiddlerError } from '../errors.js';
import type { ModelSource } from '../loading/source.js';
import { PUBLISHED } from '../models/published/index.js';
import type { ModelName } from './model.js';
import { integer } from './parse.js';

/** Flags of commands to which a published shape serves as a model. */
export interface SyntheticFlags extends ModelName {
  synthetic?: string;
  type?: string;
  layers?: number;
}

/** Options that name a published shape in place of a model. */
export function addSyntheticOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--synthetic <name>', 'a published shape, without files, in place of a model').choices(
        Object.keys(PUBLISHED),
      ),
    )
    .option('--layers <n>', 'fewer layers for --synthetic', integer(1))
    .option('--type <type>', "type of the matrices of --synthetic by ggml's name, such as q4_k; bf16 by default");
}

/** The model that is meant, without its weights. @throws FiddlerError */
export async function plannedSource({ model, synthetic, layers, type }: SyntheticFlags): Promise<ModelSource> {
  if (synthetic) {
    const { syntheticSource } = await import('../loading/synthetic.js');
    return syntheticSource(synthetic, { layers, type, empty: true });
  }
  if (type !== undefined) throw new FiddlerError('usage', '--type needs --synthetic', 'give both, or neither');
  if (layers !== undefined) throw new FiddlerError('usage', '--layers needs --synthetic', 'give both, or neither');
  const { namedSource } = await import('../loading/named.js');
  return namedSource(model);
}
