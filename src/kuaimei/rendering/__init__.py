"""High-quality (HQ) rendering of replies: engine selection, model cache and background synthesis."""
