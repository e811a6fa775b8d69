import { parentPort } from 'node:worker_threads';
import { loadEngine } from '../engine/load.js';
import { sayBusError } from '../native/kernels.js';
import { serve } from './serve.js';

sayBusError('fiddler: a file of the model became shorter while it was in use; restore it, and load the model again');
// Runs as the engine thread, which has a port to its parent.
serve(parentPort!, loadEngine);
