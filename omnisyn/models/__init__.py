"""The networks: backbones, fusion of sources, the conditioned generator, text-image models."""
