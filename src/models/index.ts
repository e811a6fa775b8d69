import { FiddlerError } from '../errors.js';
import type { JsonObject } from '../weights/config.js';
import { mixtral } from './mixtral.js';
import type { Family } from './model.js';

/** Every family that this engine runs. */
export const FAMILIES: readonly Family[] = [mixtral];

/** The family that config.json names. @throws FiddlerError `unsupported`, listing those that are there */
export function familyOf(config: JsonObject): Family {
  const family = FAMILIES.find((f) => f.modelType === config.model_type);
  if (!family) {
    const known = FAMILIES.map((f) => f.modelType).join(', ');
    const problem = `config.json names model_type ${JSON.stringify(config.model_type)}, which is not supported`;
    throw new FiddlerError('unsupported', problem, `use a model of one of: ${known}`);
  }
  return family;
}
