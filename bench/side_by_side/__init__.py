"""What bench/compare does: the servers, the load on them, the search for the highest rate, the report."""
