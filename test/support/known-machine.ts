import { rememberProcess } from '../../src/loading/footprint.js';
import { layOut } from '../../src/loading/layout.js';
import { folderSource } from '../../src/loading/source.js';
import type { LoadOptions } from '../../src/options.js';
import { calibrationKey, rememberRates } from '../../src/pace/calibration.js';
import { hardwareNamed, ratesOn } from '../../src/planning/hardware.js';
import { temporaryFolder } from './folder.js';

/**
 * A cache folder in which what is measured for plans of a model is stored, with made-up figures: its rates on this machine,
 * and, unless `process` says no, what the process takes.
 */
export function knownMachine(model: string, options: LoadOptions, { process = true } = {}): string {
  const folder = temporaryFolder();
  const layout = layOut(folderSource(model), { ...options, profile: false }, { countsOnly: true });
  const { machine, blueprint } = layout;
  rememberRates(calibrationKey(layout), ratesOn(hardwareNamed('rtx-6000-ada'), blueprint), folder);
  if (process) rememberProcess(machine, 120e6, options, folder);
  layout.close();
  return folder;
}
