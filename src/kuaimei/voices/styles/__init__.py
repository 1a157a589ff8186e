"""The style of a voice: predicted when it is added, and prepared for the synthesizer."""
