"""The drop-in for HIPS/autograd beside HIPS/autograd itself: suites of packages that use it, and random programs."""
