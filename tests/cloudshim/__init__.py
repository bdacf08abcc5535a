"""moto, with what it lacks of load balancers: draining, initial, unhealthy, ports, throttling."""
