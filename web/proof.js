// Runs the program of crates/pool/io/proof-page in a page, or anywhere else that knows WebAssembly: it reads the file as its input and
// writes one line of JSON. Nothing leaves the page: of the system interface (WASI preview 1) it gets these two and no file, clock or socket.

const BAD_FILE = 8;
const NOT_SUPPORTED = 52;

class Exit extends Error {}

export async function verify(program, file) {
  let memory;
  let read = 0;
  const written = [];
  const view = () => new DataView(memory.buffer);

  // Lists of buffers are pairs of a place and a length.
  const each = (list, count, take) => {
    let sum = 0;
    for (let index = 0; index < count; index++) {
      const at = view().getUint32(list + 8 * index, true);
      const length = view().getUint32(list + 8 * index + 4, true);
      sum += take(new Uint8Array(memory.buffer, at, length));
    }
    return sum;
  };

  const known = {
    fd_read(descriptor, list, count, result) {
      if (descriptor !== 0) return BAD_FILE;
      const sum = each(list, count, (buffer) => {
        const piece = file.subarray(read, read + buffer.length);
        buffer.set(piece);
        read += piece.length;
        return piece.length;
      });
      view().setUint32(result, sum, true);
      return 0;
    },
    fd_write(descriptor, list, count, result) {
      if (descriptor !== 1 && descriptor !== 2) return BAD_FILE;
      const sum = each(list, count, (buffer) => {
        if (descriptor === 1) written.push(buffer.slice());
        return buffer.length;
      });
      view().setUint32(result, sum, true);
      return 0;
    },
    environ_sizes_get(count, bytes) {
      view().setUint32(count, 0, true);
      view().setUint32(bytes, 0, true);
      return 0;
    },
    environ_get: () => 0,
    proc_exit() {
      throw new Exit();
    },
  };
  const imports = new Proxy(known, { get: (all, name) => all[name] ?? (() => NOT_SUPPORTED) });
  const { instance } = await WebAssembly.instantiate(program, { wasi_snapshot_preview1: imports });
  memory = instance.exports.memory;
  try {
    instance.exports._start();
  } catch (error) {
    if (!(error instanceof Exit)) throw error;
  }
  return JSON.parse(await new Blob(written).text());
}
