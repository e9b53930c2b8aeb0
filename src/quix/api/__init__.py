"""REST for operators, under /api/v1: one module a resource."""
