import { FiddlerError } from '../errors.js';
import type { Layout } from '../loading/layout.js';

/** Of a loaded model, what calls of it change. */
type Changed = Pick<Layout, 'experts' | 'network' | 'kvCache' | 'states' | 'resources' | 'close'>;

/**
 * Calls of a loaded model, each of which is whole or undone: after an error in one the next finds the model as it was
 * loaded. What cannot be undone closes the model, and every later call says so.
 */
export class ModelCalls {
  private closed?: FiddlerError;
  private running = false;

  /** @param forget drops what is known of sequences in the KV cache */
  constructor(
    private readonly model: Changed,
    private readonly forget: () => void,
  ) {}

  /** @throws FiddlerError what `call` throws, or that the model is closed */
  run<T>(call: () => T): T {
    if (this.closed) throw this.closed;
    if (this.running) return call(); // a part of another
    this.running = true;
    try {
      return this.model.resources.during(call);
    } catch (error) {
      throw this.undo(FiddlerError.of(error));
    } finally {
      this.running = false;
    }
  }

  /** Frees everything, whatever fails. @throws FiddlerError what failed first */
  close(): void {
    this.closed ??= new FiddlerError('usage', 'the model is closed', 'load it again');
    try {
      this.model.close();
    } catch (error) {
      throw FiddlerError.of(error);
    }
  }

  private undo(error: FiddlerError): FiddlerError {
    const { experts, network, kvCache, states, resources } = this.model;
    this.forget();
    try {
      resources.during(() => {
        experts.recover();
        network.forget();
        kvCache.clear(); // rows that are not numbers would live on
        states.clear();
      });
      return error;
    } catch (second) {
      const { problem } = FiddlerError.of(second);
      const why = `the model was closed, since it could not be made ready again after an error (${problem})`;
      this.closed = new FiddlerError('device', why, 'load it again', { cause: error });
      return FiddlerError.after(error, () => this.close());
    }
  }
}
