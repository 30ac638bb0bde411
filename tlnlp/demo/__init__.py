"""The web demo: fill-mask, next word, a trained model, and the same checkpoint before and after fine-tuning."""
