import { parentPort } from 'node:worker_threads';
import { loadEngine } from '../engine/load.js';
import { serve } from './serve.js';

// Runs as the engine thread, which has a port to its parent.
serve(parentPort!, loadEngine);
