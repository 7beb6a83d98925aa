"""Planning language models: places with tensor parallelism, sized by simulating vLLM's scheduler."""
