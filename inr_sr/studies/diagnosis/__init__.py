"""Why the images of a training run stay smooth: measures of its network, verdicts on suspects."""
