"""From a run to the numbers of its pictures: numpy and pandas alone."""
