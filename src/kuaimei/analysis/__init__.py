"""How people speak: features of an utterance become scores that can be explained."""
