"""How the small CLIP in `data_samples/clip` is made: pictures by the ten thousand, a vocabulary, batches, the loop."""
