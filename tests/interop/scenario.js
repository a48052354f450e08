// What the test has the client do: `node scenario.js SOCKET SCENARIO [ARGUMENT]`; one line of JSON says how it went.

import { createHash } from "node:crypto";
import { decode, encode } from "@msgpack/msgpack";
import { Client } from "./client.js";

const weights = Buffer.alloc(3 << 20, "interop"); // more than a frame
const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const [path, scenario, argument] = process.argv.slice(2);
const client = await new Client().connect(path);

const scenarios = {
  // Register, record, save, and work on until somebody kills us.
  async work() {
    const { token, epoch, resumed } = await client.mutate("process.register", { process_id: "interop", progress: { total: 10 } });
    const records = [[0, 0, encode("a"), encode({ loss: 0.5 })], [1, 1, encode("b"), encode("it broke")], [0, 2, encode("c"), null]];
    const { position } = await client.mutate("journal.append", { token, records, progress: { completed: 3 } });
    const saved = await client.save(token, { step: 3, losses: [0.5, null, "ünïcode"], weights }, { tags: ["interop"] });
    return { epoch, resumed, position, checkpoint: saved.checkpoint_id, level: saved.level };
  },

  // Take over what `work` left, load its state and read its journal; then go on to the end.
  async recover() {
    const registered = await client.mutate("process.recover", { process_id: "interop" });
    const { token, epoch, resumed, progress, state_checkpoint } = registered;
    const { checkpoint, parts } = await client.mutate("checkpoint.restore", { token });
    const state = await client.state(checkpoint.checkpoint_id, parts);
    const loaded = await client.load(state_checkpoint.checkpoint_id);
    const { records } = await client.call("journal.read", { process_id: "interop" });
    const { state: end } = await client.mutate("process.end", { token, state: "completed", progress: { completed: 10 } });
    return {
      epoch,
      resumed,
      completed: progress.completed,
      step: state.step,
      losses: state.losses,
      whole: sha256(state.weights) === sha256(weights) && sha256(loaded.weights) === sha256(weights),
      records: records.map(([position, kind, ordinal, item, result]) => [position, kind, ordinal, decode(item), result && decode(result)]),
      end,
    };
  },

  // The same mutation again, over another connection of the session: answered as before, applied once.
  async repeat() {
    const { token } = await client.mutate("process.register", { process_id: "repeated" });
    const first = await client.save(token, { step: 1 });
    const number = client.lastNumber;
    await client.close();
    await client.connect(path);
    await client.call("process.attach", { token });
    const again = await client.save(token, { step: 1 }, {}, number);
    const { checkpoints } = await client.call("checkpoint.list", { process_id: "repeated" });
    return { same: first.checkpoint_id === again.checkpoint_id, count: checkpoints.length };
  },

  // What another client saved.
  async load() {
    return await client.load(argument);
  },

  // Mistakes are answered, and the conversation goes on.
  async refused() {
    const code = (promise) => promise.then(() => null, (error) => [error.code, error.retryable]);
    return [
      await code(client.call("process.dance")),
      await code(client.call("ping", { loudly: true })),
      await code(client.call("checkpoint.get", { checkpoint_id: "nobody_processing_state_1" })),
      await code(client.mutate("process.recover", { process_id: "nobody" })),
      await code(client.call("ping")),
    ];
  },
};

console.log(JSON.stringify(await scenarios[scenario]()));
if (scenario !== "work") client.close();
