"""Images and what training takes from them: sources, crops, samples."""
