import { FiddlerError } from '../errors.js';
import type { Counts } from '../experts/placement.js';
import { fingerprint, fits, type Profile, type ProfiledModel, profileOf } from '../experts/profile.js';
import { learnProfile, readProfile, recallProfile } from '../experts/profile-store.js';
import type { ExpertsSpec } from '../experts/spec.js';
import { expertLayersOf } from '../models/model.js';
import type { LoadOptions } from '../options.js';
import { describe } from './blueprint.js';
import { localModel } from './named.js';
import { folderSource, type ModelSource } from './source.js';

/** What names a model in its profile. */
export function profiledModel({ name, config }: ModelSource, layers: readonly ExpertsSpec[]): ProfiledModel {
  return { model: name, fingerprint: fingerprint(config, layers) };
}

/**
 * The profile by which a model's experts are placed: the one that the options name, else the stored one, if any.
 * @param layers the layers with experts
 * @throws FiddlerError `file` where the one that was named cannot be read or is of another model
 */
export function storedProfile(
  source: ModelSource,
  layers: readonly ExpertsSpec[],
  { profile: named, onWarning }: Pick<LoadOptions, 'profile' | 'onWarning'>,
): Profile | undefined {
  if (named === false) return undefined;
  const own = profiledModel(source, layers).fingerprint;
  if (named === undefined) return source.synthetic ? undefined : recallProfile(own, layers, onWarning);
  const profile = readProfile(named);
  if (!fits(profile, layers)) {
    const [its, ours] = [shape(profile.counts.map(({ length }) => length)), shape(layers.map((l) => l.count))];
    const problem = `${named} is a profile of ${profile.model} with ${its}; ${source.name} has ${ours}`;
    throw new FiddlerError('file', problem, 'give a profile of this model');
  }
  if (profile.fingerprint !== own) onWarning?.(`${named} is a profile of ${profile.model}, whose config is another`);
  return profile;
}

/** The profile by which the model that `load` finds by `name` is placed, without opening its weights. Errors as {@link storedProfile}. */
export function folderProfile(name: string, options: Pick<LoadOptions, 'profile' | 'onWarning'>): Profile | undefined {
  const source = folderSource(localModel(name));
  return storedProfile(source, expertLayersOf(describe(source).spec), options);
}

/** Adds what a model chose to its stored profile. @param counts tokens routed to each expert, by layer */
export function learnPopularity(source: ModelSource, layers: readonly ExpertsSpec[], counts: Counts): void {
  const counted = profileOf(profiledModel(source, layers), layers, counts);
  if (counted.tokens > 0 && !source.synthetic) learnProfile(counted, layers);
}

/** Such as "2 layers of 8 experts". */
function shape(counts: readonly number[]): string {
  return `${counts.length} layers of ${[...new Set(counts)].join(' or ')} experts`;
}
