"""Classification of images by one or several subnets, with memory that the number of images leaves alone."""
