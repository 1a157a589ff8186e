"""Training a voice, on the server's side: the durable job, and the process that trains."""
