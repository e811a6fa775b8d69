import type { Exchange } from './exchange.js';
import type { PlacedExpert } from './expert.js';
import type { Lanes } from './lanes/lanes.js';
import type { LanesParts } from './lanes/parts.js';

/** Carries out exchanges of resident experts for missing ones of their layers. */
export class Exchanges {
  /** Undoes an exchange of which it is not known whether its copies are there. */
  private unfinished?: () => void;

  constructor(
    private readonly parts: Pick<LanesParts, 'accelerator' | 'host'>,
    private readonly lanes: Lanes,
  ) {}

  /** Between calls; done when it returns. */
  run(exchange: Exchange): void {
    this.lanes.wait();
    this.queue(exchange);
    this.lanes.wait();
  }

  /** Queues the copies of an exchange, which takes part from now on. Only while nothing of that layer is computed. */
  queue(exchange: Exchange): void {
    const { layer, evicted, admitted } = exchange;
    const { copies } = this.parts.accelerator;
    const { resident } = this.lanes;
    for (const expert of [evicted, admitted]) this.lanes.forget(layer, expert);
    let comesBack = false;
    const read = (target: PlacedExpert) => {
      comesBack = true;
      resident.read(copies, layer, evicted, target);
    };
    const overwrite = (source: PlacedExpert) => resident.overwrite(copies, layer, evicted, source);
    const write = (source: PlacedExpert, left: PlacedExpert) => {
      this.unfinished = () => overwrite(left);
      overwrite(source);
      this.unfinished = undefined;
      resident.rename(layer, [evicted, admitted]);
    };
    this.parts.host.exchange(exchange, read, write, () => copies.synchronize());
    this.lanes.comes(layer, comesBack);
  }

  /** After an error, once the lanes are joined: undoes what was begun. @throws FiddlerError */
  recover(): void {
    this.unfinished?.();
    this.unfinished = undefined;
  }
}
