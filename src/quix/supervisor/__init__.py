"""The small process that owns the programs: it starts them, knows them and signals them."""
