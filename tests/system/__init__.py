"""The whole program, on moto's AWS and a real Elasticsearch."""
