import { assertEquals } from "@std/assert";
import { chooseBackend } from "../../lib/infer/backend.ts";

Deno.test("auto takes a GPU, and ONNX Runtime where there is none or only software", async () => {
  const adapter = (description: string, software: boolean) => () =>
    Promise.resolve({ description, software });
  const none = () => Promise.reject(new Error("Cannot find a WebGPU adapter"));
  assertEquals(await chooseBackend("auto", adapter("A GPU", false)), {
    backend: "webgpu",
    reason: "a GPU was found",
  });
  assertEquals(await chooseBackend("auto", adapter("llvmpipe", true)), {
    backend: "ort",
    reason: "the only WebGPU adapter, llvmpipe, is software",
  });
  assertEquals(await chooseBackend("auto", none), {
    backend: "ort",
    reason: "no WebGPU adapter was found",
  });
});

Deno.test("what is asked for is taken, and no adapter looked for", async () => {
  const find = () => {
    throw new Error("looked for");
  };
  for (const backend of ["webgpu", "ort"] as const) {
    assertEquals(await chooseBackend(backend, find), { backend, reason: "asked for" });
  }
});
