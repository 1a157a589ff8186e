"""What is kept: sessions, turns, utterances, recordings and durable jobs."""
