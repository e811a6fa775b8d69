import { h200 } from './h200.js';
import type { HardwareFile } from './machine.js';
import { quadroRtx6000 } from './quadro-rtx-6000.js';
import { rtx6000Ada } from './rtx-6000-ada.js';

/** Machines whose rates are known, by the name for `--hardware`. */
export const HARDWARE: Readonly<Record<string, HardwareFile>> = {
  'quadro-rtx-6000': quadroRtx6000,
  'rtx-6000-ada': rtx6000Ada,
  h200,
};
