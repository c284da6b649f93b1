"""What the playground's page calls in the Web Worker. It runs in every Python, so the tests call it without a browser."""
