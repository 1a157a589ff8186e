"""Speech analysis: prosodic features of an utterance and explainable scores derived from them."""
