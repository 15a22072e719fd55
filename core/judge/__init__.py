"""How good generated images are: a small classifier of the data set, and what it says of them."""
