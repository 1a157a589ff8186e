"""The beautiful rendering: which heavy model is loaded for it, and when it may compute."""
