import { bind } from '../calls.js';
import { byAddress, type Pointer } from './api.js';

/** Functions that only some devices' libraries have. */
const library = bind(
  {
    register: 'bool ggml_backend_register_host_buffer(void* address, size_t bytes)',
    unregister: 'void ggml_backend_unregister_host_buffer(void* address)',
  },
  byAddress,
);

/**
 * Registers memory of this process as pinned with the device's driver; it may be mapped from a file.
 * ggml does so only with GGML_CUDA_REGISTER_HOST in the environment.
 * @returns false where the device has no such call or the driver refuses
 */
export function registerMemory(device: Pointer, address: Pointer, bytes: number): boolean {
  return library.register(device, address, bytes) === true;
}

/** Ends what `registerMemory` began at this address. */
export function unregisterMemory(device: Pointer, address: Pointer): void {
  library.unregister(device, address);
}
