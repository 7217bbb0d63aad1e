"""Where engineers work: what a run says of itself when it is printed, shown in a notebook or asked for a figure."""
