"""ssd-eval: run, score and explain Simple Self-Distillation of code models."""
