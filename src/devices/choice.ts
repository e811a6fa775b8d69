import { FiddlerError } from '../errors.js';
import { ACCELERATORS, type AcceleratorKind, acceleratorKind } from './accelerators.js';
import { probeAccelerator } from './probe.js';
import type { Probe, ProbedDevice } from './probe-result.js';

/** An accelerator, and which of its devices. */
export interface Choice {
  kind: AcceleratorKind;
  /** ggml's name of the device; missing where the kind has but one. */
  device?: string;
  /** A GPU whose memory is the host's RAM. */
  inRam?: boolean;
  /** A GPU that the CPU computes. */
  software?: boolean;
}

/** The device of a probe that is used: the first that works, a GPU before software. */
export function bestDevice({ devices }: Probe): ProbedDevice | undefined {
  const working = devices.filter((d) => d.fault === undefined);
  return working.find((d) => !d.software) ?? working[0];
}

/** Why no device of a probe works, in one line. */
export function faultOf({ devices, fault }: Probe): string {
  const faulty = devices.find((d) => d.fault !== undefined);
  if (!faulty) return fault ?? 'it has no device';
  return faulty.lack === undefined ? faulty.fault! : `${faulty.fault}; ${faulty.lack}`;
}

/**
 * The accelerator to use when `name` is asked for: `auto` takes the first GPU that works, never a software device, else
 * `none`; a name is taken by that name or refused.
 * @param probe called for those GPUs only that decide
 * @throws FiddlerError `usage` (no such name), `device` (asked for by name, and not there or not working)
 */
export function chooseAccelerator(
  name: string,
  probe: (kind: AcceleratorKind) => Probe,
  onWarning: (line: string) => void = () => {},
): Choice {
  return name === 'auto' ? chooseAny(probe, onWarning) : chooseNamed(acceleratorKind(name), probe, onWarning);
}

function chooseAny(probe: (kind: AcceleratorKind) => Probe, onWarning: (line: string) => void): Choice {
  for (const kind of ACCELERATORS.filter((k) => k.gpu)) {
    const found = probe(kind);
    const device = bestDevice(found);
    if (device && !device.software) return choiceOf(kind, device);
    if (!device && !found.absent) {
      onWarning(`${kind.name} is not used: ${faultOf(found)} (\`fiddler doctor --refresh\` tries it again)`);
    }
  }
  return { kind: acceleratorKind('none') };
}

function chooseNamed(
  kind: AcceleratorKind,
  probe: (kind: AcceleratorKind) => Probe,
  onWarning: (line: string) => void,
): Choice {
  if (!kind.gpu) return { kind };
  const found = probe(kind);
  const device = bestDevice(found);
  if (!device) {
    const remedy = 'see `fiddler doctor --refresh`, or use --accelerator auto or none';
    throw new FiddlerError('device', `the accelerator ${kind.name} cannot be used here: ${faultOf(found)}`, remedy);
  }
  if (device.software) {
    onWarning(`${kind.name} is a software device here (${device.description}), slower than --accelerator none`);
  }
  return choiceOf(kind, device);
}

function choiceOf(kind: AcceleratorKind, { name, software, kind: type }: ProbedDevice): Choice {
  return { kind, device: name, inRam: software || type === 'integrated', software };
}

/** `chooseAccelerator` by what this machine's GPUs do, remembered from earlier probes. */
export function resolveAccelerator(name: string, onWarning?: (line: string) => void): Choice {
  return chooseAccelerator(name, (kind) => probeAccelerator(kind), onWarning);
}
