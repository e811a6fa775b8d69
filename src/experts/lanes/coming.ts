import type { Device } from '../../devices/device.js';
import type { Backend, Event } from '../../native/ggml/backend.js';

/** Copies of exchanges that are under way, by layer: who needs what they bring waits for them. */
export class Coming {
  /** One for each layer that ever had an exchange. */
  private readonly events = new Map<number, Event | undefined>();
  private readonly toAccelerator = new Set<number>();
  private readonly toHost = new Set<number>();

  constructor(private readonly accelerator: Device) {}

  /** Copies for a layer were queued. @param back an expert of it comes to the host's memory */
  queued(layer: number, back: boolean): void {
    const { copies, compute } = this.accelerator;
    if (back) this.toHost.add(layer);
    if (copies === compute) return;
    if (!this.events.has(layer)) this.events.set(layer, this.accelerator.event());
    const event = this.events.get(layer);
    if (!event) copies.synchronize();
    event?.record(copies);
    this.toAccelerator.add(layer);
  }

  /** What is queued there from now on waits for the layer's experts that come to the accelerator. */
  awaitOn(backend: Backend, layer: number): void {
    if (this.toAccelerator.delete(layer)) this.events.get(layer)?.wait(backend);
  }

  /** Returns once the layer's experts that come to the host are there. */
  awaitHere(layer: number): void {
    if (this.toHost.delete(layer)) this.accelerator.copies.synchronize();
  }

  /** Everything was waited for. */
  forget(): void {
    this.toAccelerator.clear();
    this.toHost.clear();
  }
}
