"""Sources of images, and the batches that training draws from them: crops, LR patches, queries.

It knows nothing of training and evaluation.
"""
