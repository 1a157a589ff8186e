"""Language models: the embedded llama.cpp, or any server in the OpenAI dialect."""
