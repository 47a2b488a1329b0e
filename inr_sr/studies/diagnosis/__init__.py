"""Why the pictures of a training stay smooth: measures of its network, and what they say."""
