import koffi from 'koffi';
import { api, type Pointer } from './api.js';

const REGISTER = koffi.proto('bool register_host_buffer(void* address, size_t bytes)');
const UNREGISTER = koffi.proto('void unregister_host_buffer(void* address)');

function find(device: Pointer, name: string): Pointer | null {
  const ggml = api();
  return ggml.procAddress(ggml.deviceRegistry(device), name);
}

/**
 * Registers memory of this process as pinned with the device's driver; it may be mapped from a file.
 * ggml does so only with GGML_CUDA_REGISTER_HOST in the environment.
 * @returns false where the device has no such call or the driver refuses
 */
export function registerMemory(device: Pointer, address: Pointer, bytes: number): boolean {
  const register = find(device, 'ggml_backend_register_host_buffer');
  return register !== null && koffi.decode(register, REGISTER)(address, bytes);
}

/** Ends what `registerMemory` began at this address. */
export function unregisterMemory(device: Pointer, address: Pointer): void {
  const unregister = find(device, 'ggml_backend_unregister_host_buffer');
  if (unregister !== null) koffi.decode(unregister, UNREGISTER)(address);
}
