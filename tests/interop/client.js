// A client of ckptd, written from docs/PROTOCOL.md and docs/PAYLOAD.md alone.

import { randomBytes } from "node:crypto";
import net from "node:net";
import { decode, encode, ExtData, ExtensionCodec } from "@msgpack/msgpack";

const FRAME_BYTES_MAX = 1048576;
const PIECE_BYTES_MAX = 1032192;
const BUFFER_BYTES_MIN = 65536;

export class CkptdError extends Error {
  constructor({ code, message, hint, retryable, details }) {
    super(message);
    Object.assign(this, { code, hint, retryable, details });
  }
}

export class Client {
  session = randomBytes(16);
  #number = 0; // of mutations, the session's own
  #id = 0; // of messages
  #waiting = new Map();
  #held;

  async connect(path) {
    this.#held = Buffer.alloc(0);
    this.socket = net.connect(path);
    this.socket.on("data", (data) => this.#receive(data));
    this.socket.on("error", (error) => this.#lost(error));
    this.socket.on("close", () => this.#lost(new Error("the daemon closed the connection")));
    this.welcome = await this.call("hello", { versions: [1], client: "interop 1.0", session: this.session });
    return this;
  }

  call(method, params = {}) {
    const body = encode([0, ++this.#id, method, params]);
    const header = Buffer.alloc(4);
    header.writeUInt32BE(body.length);
    return new Promise((resolve, reject) => {
      this.#waiting.set(this.#id, { resolve, reject });
      this.socket.write(Buffer.concat([header, body]));
    });
  }

  // A mutation under a number of its own; under a former one it is the same mutation again.
  mutate(method, params, number = ++this.#number) {
    return this.call(method, { request: number, ...params });
  }

  get lastNumber() {
    return this.#number;
  }

  close() {
    return new Promise((resolve) => this.socket.once("close", resolve).end());
  }

  #receive(data) {
    this.#held = Buffer.concat([this.#held, data]);
    while (this.#held.length >= 4) {
      const length = this.#held.readUInt32BE();
      if (length === 0 || length > FRAME_BYTES_MAX) return this.socket.destroy();
      if (this.#held.length < 4 + length) return;
      const [kind, id, error, result] = decode(this.#held.subarray(4, 4 + length));
      this.#held = this.#held.subarray(4 + length);
      if (kind !== 1) continue; // a notification: version 1 has none
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      error === null ? resolve(result) : reject(new CkptdError(error));
    }
  }

  #lost(error) {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  // Save a state, its large buffers beside the document; in pieces where it does not fit a frame.
  async save(token, state, more = {}, number = undefined) {
    const parts = toParts(state);
    if (parts.reduce((sum, [, , data]) => sum + data.length, 0) <= PIECE_BYTES_MAX / 2)
      return this.mutate("checkpoint.save", { token, parts, ...more }, number);
    const { upload } = await this.call("upload.open", { parts: parts.map(([name, form, data]) => [name, form, data.length]) });
    for (const [part, [, , data]] of parts.entries())
      for (let offset = 0; offset < data.length; offset += PIECE_BYTES_MAX)
        await this.call("part.write", { upload, part, offset, data: data.subarray(offset, offset + PIECE_BYTES_MAX) });
    return this.mutate("checkpoint.save", { token, upload, ...more }, number);
  }

  // The state in a checkpoint.
  async load(checkpoint_id) {
    const { parts } = await this.call("checkpoint.get", { checkpoint_id });
    return this.state(checkpoint_id, parts);
  }

  // The state in the parts of a reply: what did not come along is read in pieces.
  async state(checkpoint_id, parts) {
    const bytes = new Map();
    for (const [part, [name, , size, data]] of parts.entries()) {
      const pieces = data === null ? [] : [data];
      for (let offset = 0; data === null && offset < size; offset += pieces.at(-1).length)
        pieces.push((await this.call("checkpoint.read", { checkpoint_id, part, offset })).data);
      bytes.set(name, Buffer.concat(pieces));
    }
    return fromParts(bytes);
  }
}

// A tag of PAYLOAD.md is extension type 1; tag 1 with a number refers to a buffer. Plain objects need no other.
class Tag {}
const codec = new ExtensionCodec();
codec.register({ type: 1, encode: () => null, decode: ([number]) => Object.assign(new Tag(), { number }) });

function toParts(state) {
  const buffers = [];
  const walk = (value) => {
    if (value instanceof Uint8Array && value.length >= BUFFER_BYTES_MIN)
      return [new ExtData(1, Uint8Array.of(1)), buffers.push(["state/" + buffers.length, encode({ kind: "bytes", type: "bytes" }), value]) - 1];
    if (Array.isArray(value)) return value.map(walk);
    if (value === null || typeof value !== "object" || value instanceof Uint8Array) return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, walk(one)]));
  };
  const document = encode(walk(state));
  return [["state", encode({ kind: "document", encoding: "msgpack" }), document], ...buffers];
}

function fromParts(bytes) {
  const walk = (value) => {
    if (Array.isArray(value) && value[0] instanceof Tag) {
      if (value[0].number !== 1) throw new Error(`this client has no use for tag ${value[0].number}`);
      return bytes.get("state/" + value[1]);
    }
    if (Array.isArray(value)) return value.map(walk);
    if (value === null || typeof value !== "object" || value instanceof Uint8Array) return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, walk(one)]));
  };
  return walk(decode(bytes.get("state"), { extensionCodec: codec }));
}
