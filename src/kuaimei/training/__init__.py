"""Learning a voice: Kokoro in torch, its style and its vocoder fitted to somebody's speech.

Run as a process of its own (``python -m kuaimei.training JOBFOLDER``) in an environment of its own
(`kuaimei.voices.training.environment`), so that the server needs no torch. `job` says what goes in, `reports` what
comes out; `weights`, `align` and `pitch` need numpy only.
"""
