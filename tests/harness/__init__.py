"""What the starter's tests stand on."""
