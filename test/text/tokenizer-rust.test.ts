import { compareWithRust } from './tokenizer-rust.js';

compareWithRust(20);
