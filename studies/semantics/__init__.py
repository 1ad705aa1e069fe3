"""How much of an image's class a few bits carry: geodesic codes and rivals, over several VAEs.."""
