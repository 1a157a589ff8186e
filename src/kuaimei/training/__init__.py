"""Training a voice: fits Kokoro's style and vocoder, run in torch, to a speaker's recording.

Runs as a process of its own (``python -m kuaimei.training JOBFOLDER``) in an environment of its own
(`kuaimei.voices.training.environment`), so that the server needs no torch. `job` defines the input,
`progress_events` the output; `onnx_to_torch`, `align` and `pitch` need numpy only.
"""
