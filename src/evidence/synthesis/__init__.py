"""Evidence synthesis: effect sizes, pooling, bias, dependence, networks and certainty."""
