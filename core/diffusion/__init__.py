"""The mathematics: noise schedules, the forward process and its loss, samplers, and drawing images with them."""
