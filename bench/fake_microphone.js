// Gives the page a microphone that hears only what `say` is told, so that many pages of one browser each have
// a speaker of their own, who can wait for an answer before going on.
(() => {
  let context;
  let air;
  const open = () => {
    context ??= new AudioContext({ latencyHint: "interactive" });
    air ??= context.createMediaStreamDestination();
    return air;
  };
  navigator.mediaDevices.getUserMedia = async () => open().stream.clone();
  window.say = async (base64, rate) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const samples = new Int16Array(bytes.buffer);
    const to = open();
    const buffer = context.createBuffer(1, samples.length, rate);
    buffer.copyToChannel(Float32Array.from(samples, (x) => x / 32768), 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(to);
    await new Promise((resolve) => {
      source.onended = resolve;
      source.start();
    });
  };
})();
